"""The sources of images: one module for each family of data sets."""
