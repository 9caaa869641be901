"""Where images come from: one module for each family of data sets."""
