"""Where a number came from: what was asked, what it was made from, and whether that still holds."""
