"""How parameters move: groups, schedules, gradients, LARS."""
