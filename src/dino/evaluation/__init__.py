"""One module for each question asked of a teacher, and what needs no training beside it."""
