"""How fast this project is beside a textbook implementation; `python -m benchmarks` runs it."""
