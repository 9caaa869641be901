"""Bootstrap intervals of a mean over test images."""

import numpy as np
from jaxtyping import Float
from scipy.stats import binom, bootstrap

LEVEL = 0.95
_RESAMPLES = 2000
_BATCH = 100
"""The number of resamples that are drawn together."""


def share_interval(percent: float, images: int) -> tuple[float, float] | None:
    """The 95 % bootstrap interval of a share of `images`, both in percent; None without images.

    The percentile interval. The mean of a resample of zeros and ones is binomial, so the limit of
    infinitely many resamples (Efron 1979) is known without drawing any.
    """
    if images == 0:
        return None
    low, high = binom.ppf([(1 - LEVEL) / 2, (1 + LEVEL) / 2], images, percent / 100)
    return 100 * float(low) / images, 100 * float(high) / images


def mean_interval(
    values: Float[np.ndarray, " images"], seed: int = 0
) -> tuple[float, float] | None:
    """The 95 % percentile bootstrap interval of the mean of `values`, in their unit.

    None for fewer than two values.
    """
    if len(values) < 2:
        return None
    if np.ptp(values) == 0:
        return float(values[0]), float(values[0])
    found = bootstrap(
        (values,),
        np.mean,
        n_resamples=_RESAMPLES,
        batch=_BATCH,
        confidence_level=LEVEL,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return float(found.low), float(found.high)
