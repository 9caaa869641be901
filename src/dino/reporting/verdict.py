"""Whether a score and its baseline can be told apart, given how far each can be trusted."""

from collections.abc import Mapping, Sequence

from dino.metrics.paired import mean_difference
from dino.reporting.summary import DECIMALS, difference

NOT_TOLD_APART = "not told apart from"


def side(
    scores: Mapping[str, float | None],
    baseline: Mapping[str, float | None],
    key: str,
    seeds: Sequence[float | None] = (),
    baseline_key: str | None = None,
) -> str | None:
    """above, below or not told apart from; None where either was not measured.

    They are told apart where their 95 % intervals over the images do not overlap and, of several
    seeds, the 95 % interval of their differences to the baseline does not hold zero.
    `seeds`: the score of each.
    """
    reference = baseline_key or key
    points = difference(scores.get(key), baseline.get(reference))
    if points is None:
        return None
    low, high = _bounds(scores, key)
    baseline_low, baseline_high = _bounds(baseline, reference)
    overlap = low <= baseline_high and baseline_low <= high
    return NOT_TOLD_APART if overlap or _holds_zero(seeds, baseline[reference]) else _sign(points)


def in_words(
    scores: Mapping[str, float | None],
    baseline: Mapping[str, float | None],
    key: str,
    seeds: Sequence[float | None] = (),
    baseline_key: str | None = None,
) -> str:
    """`side` with the distance in points, to be followed by the baseline's name."""
    found = side(scores, baseline, key, seeds, baseline_key)
    if found in (None, NOT_TOLD_APART):
        return found or "not compared with"
    points = difference(scores[key], baseline[baseline_key or key])
    return f"{abs(points or 0):.{DECIMALS}f} points {found}"


def _bounds(scores: Mapping[str, float | None], key: str) -> tuple[float, float]:
    """The interval; without one the number alone."""
    value, low, high = (scores.get(f"{key}{end}") for end in ("", "_low", "_high"))
    assert value is not None
    return (value, value) if low is None or high is None else (low, high)


def _holds_zero(seeds: Sequence[float | None], baseline: float | None) -> bool:
    measured = [seed for seed in seeds if seed is not None]
    assert baseline is not None
    found = mean_difference(measured, [baseline] * len(measured))
    interval = None if found is None else found[1]
    return interval is not None and interval[0] <= 0 <= interval[1]


def _sign(points: float) -> str:
    return "above" if points > 0 else "below"
