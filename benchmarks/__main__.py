"""`python -m benchmarks [NAME ...]`: measure, assert, write results/benchmarks.{json,md}."""

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from benchmarks.parts import ALL_NAMES, PARTS, measured
from dino.cli import set_environment


def main() -> int:
    """The exit code: 1 when the sides of a pair disagree."""
    # before torch is imported, and for both sides
    set_environment()
    from benchmarks.machine import facts
    from benchmarks.results import save
    from dino.core.errors import DinoError
    from dino.core.provenance import git_state

    options = _options()
    chosen = options.names or ALL_NAMES
    try:
        commit = git_state(Path.cwd())
        for part, names in PARTS.items():
            names_here = tuple(name for name in names if name in chosen)
            if names_here:
                print(f"--- {', '.join(names_here)}", flush=True)
                # a process for each: no part inherits another's memory or threads
                with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
                    new = pool.submit(measured, part, names_here, options.rounds).result()
                for result in new.values():
                    result["git"] = commit
                save(options.output, new, facts())
                _print(new)
    except DinoError as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 1
    print(f"--- {options.output / 'benchmarks.md'}")
    return 0


def _print(results: dict[str, Any]) -> None:
    for name, result in results.items():
        values = {
            key: f"{value:.4g}" if isinstance(value, float) else value
            for key, value in result.items()
            if key not in ("git", "rows", "tolerance")
        }
        print(f"{name}: {', '.join(f'{key} {value}' for key, value in values.items())}", flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Time this project beside a textbook implementation, in its root.",
    )
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"one of {', '.join(ALL_NAMES)}; none: all"
    )
    parser.add_argument(
        "--rounds", type=int, help="repetitions of each side (default: enough for a stable median)"
    )
    parser.add_argument(
        "--output", type=Path, default=Path("results"), help="folder of the results"
    )
    options = parser.parse_args()
    unknown = sorted(set(options.names) - set(ALL_NAMES))
    if unknown:
        parser.error(f"expected one of {', '.join(ALL_NAMES)}, got {', '.join(unknown)}")
    return options


if __name__ == "__main__":
    sys.exit(main())
