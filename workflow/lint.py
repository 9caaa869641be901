"""`snakemake --lint`, less the one thing that it cannot know.

It wants a conda environment or a container for each rule and has no word for a virtual environment
with pinned packages, which is what `make setup` builds for all of them.
"""

import subprocess
import sys

KNOWN = "    * Specify a conda environment or container for each rule.:"


def main() -> int:
    """The exit code: 1 if the linter found anything else, which is printed."""
    command = [sys.executable, "-m", "snakemake", "--lint"]
    done = subprocess.run(command, capture_output=True, text=True)
    output = done.stdout + done.stderr
    lints = [line for line in output.splitlines() if line.startswith("    * ")]
    if lints and set(lints) == {KNOWN}:
        return 0
    print(output, file=sys.stderr)
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
