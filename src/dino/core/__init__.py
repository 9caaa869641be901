"""The ground of all other packages: configuration, paths, files, seeds, errors."""
