"""Scores of predictions: numpy in, numbers out."""
