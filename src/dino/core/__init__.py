"""What everything else stands on: configuration, paths, files, seeds, errors."""
