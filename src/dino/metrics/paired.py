"""Intervals of the mean of paired differences, by Student's t."""

from collections.abc import Sequence
from statistics import fmean

import numpy as np
from scipy.stats import t

from dino.metrics.intervals import LEVEL


def mean_difference(
    values: Sequence[float], baseline: Sequence[float]
) -> tuple[float, tuple[float, float] | None] | None:
    """The mean of `values` minus `baseline`, pair by pair, and its 95 % interval.

    The interval assumes that the differences are normal and independent, as those of different
    seeds; None for one pair. Nothing at all without a pair.
    """
    if not values:
        return None
    differences = np.subtract(values, baseline)
    mean = fmean(differences)
    if len(differences) < 2:
        return mean, None
    error = float(differences.std(ddof=1)) / len(differences) ** 0.5
    half = float(t.ppf((1 + LEVEL) / 2, len(differences) - 1)) * error
    return mean, (mean - half, mean + half)
