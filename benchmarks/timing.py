"""Times of several functions that take turns, so that a busy moment hits them all."""

import gc
import statistics
import time
from collections.abc import Callable, Mapping


def turns(sides: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """What each side returned in each of `rounds`; every second round is in reverse order.

    Nothing is warmed up here: the comparison of the sides' numbers, which comes before, does it.
    """
    values: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(rounds):
        for name in reversed(list(sides)) if turn % 2 else sides:
            gc.collect()
            values[name].append(sides[name]())
    return values


def interleaved_seconds(
    sides: Mapping[str, Callable[[], object]], rounds: int
) -> dict[str, list[float]]:
    """The wall time of every call of every side, in turns."""
    return turns({name: _timed(side) for name, side in sides.items()}, rounds)


def medians(seconds: Mapping[str, list[float]]) -> dict[str, float]:
    """The median time of each side."""
    return {name: statistics.median(values) for name, values in seconds.items()}


def spread(values: list[float]) -> float:
    """Largest less smallest value over the median: near 0 on a quiet machine."""
    return (max(values) - min(values)) / statistics.median(values)


def _timed(function: Callable[[], object]) -> Callable[[], float]:
    def seconds() -> float:
        start = time.perf_counter()
        function()
        return time.perf_counter() - start

    return seconds
