"""Optimization: parameter groups, schedules, gradients, LARS."""
