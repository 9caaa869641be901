"""The Jaccard index of masks."""

import numpy as np
from jaxtyping import Bool, Float64, UInt8

VOID = 255
"""The value of a pixel without truth; 0 is background, the other values are objects."""


def jaccard(
    masks: Bool[np.ndarray, "*masks height width"], truth: Bool[np.ndarray, "*#masks height width"]
) -> Float64[np.ndarray, "*masks"]:
    """Intersection over union with `truth`, in 0 to 1; two empty masks agree, which is 1."""
    intersection = (masks & truth).sum(axis=(-2, -1))
    union = (masks | truth).sum(axis=(-2, -1))
    return np.where(union == 0, 1.0, intersection / np.maximum(union, 1))


def object_jaccards(
    masks: Bool[np.ndarray, "masks height width"], truth: UInt8[np.ndarray, "height width"]
) -> Float64[np.ndarray, "objects masks"]:
    """The Jaccard index of every mask with every object of one image, objects in ascending order.

    Void pixels count neither in intersection nor in union. An image without objects is scored as
    if it had one empty object.
    """
    numbers = 1 + np.flatnonzero(np.bincount(truth.ravel(), minlength=256)[1:VOID])
    objects = truth == numbers[:, None, None] if len(numbers) else np.zeros((1, *truth.shape), bool)
    scored = np.broadcast_to(masks & (truth != VOID), (len(objects), *masks.shape))
    return jaccard(scored, objects[:, None])
