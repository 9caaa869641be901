"""The origin of a number: what it was made from, and whether these files are still the same."""
