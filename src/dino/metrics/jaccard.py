"""The Jaccard index of masks."""

import numpy as np
from jaxtyping import Bool, Float64


def jaccard(
    masks: Bool[np.ndarray, "*masks height width"], truth: Bool[np.ndarray, "*#masks height width"]
) -> Float64[np.ndarray, "*masks"]:
    """Intersection over union with `truth`, in 0 to 1; two empty masks agree, which is 1."""
    intersection = (masks & truth).sum(axis=(-2, -1))
    union = (masks | truth).sum(axis=(-2, -1))
    return np.where(union == 0, 1.0, intersection / np.maximum(union, 1))
