"""`benchmarks` lies in the project's root, from where `make bench` runs it."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2]))
