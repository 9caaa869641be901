"""One number that an evaluation found: a row of the long table that all results are read from."""

from dataclasses import dataclass
from typing import TypedDict


@dataclass(frozen=True, kw_only=True)
class Score:
    """What one model reached in one setting, by one metric."""

    model: str
    """Whose score it is: teacher, random_init, or a baseline such as raw_pixels."""
    setting: str = ""
    """How it was asked, as `setting` writes it; empty where there is but one way."""
    metric: str
    """What was measured, such as top1 or jaccard; DEVIATION: the spread of another score."""
    value: float | None
    """The number; None where there is none."""
    low: float | None = None
    """The lower end of its 95 % interval."""
    high: float | None = None
    """The upper end of its 95 % interval."""
    n: int | None = None
    """The number of images that it is a mean over."""
    unit: str = "%"
    """%, points for a difference of percentages, or empty for a number without a unit."""
    key: str = ""
    """Its name in summary.json, such as knn_top1; empty for what stands in scores.csv alone."""


DEVIATION = "deviation"
"""The metric of a standard deviation: it has no interval, and none is taken of it."""


def setting(**values: object) -> str:
    """`values` as the text of a setting: split=test, k=20."""
    return ", ".join(f"{name}={value}" for name, value in values.items())


def setting_values(text: str) -> dict[str, str]:
    """The values in the text of a setting, by their names."""
    return dict(part.split("=", 1) for part in text.split(", ")) if text else {}


class Bounds(TypedDict):
    """The fields of a score that are its interval."""

    low: float | None
    high: float | None


def bounds(interval: tuple[float, float] | None) -> Bounds:
    """`interval` as the fields low and high of a score; None without one."""
    low, high = interval or (None, None)
    return {"low": low, "high": high}
