"""Training: the step, the loop around it, and the numbers that are logged."""
