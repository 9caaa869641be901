"""The step, the loop around it, and what is watched meanwhile."""
