"""Top-k accuracy."""

import numpy as np
from jaxtyping import Float, Int64


def rank_of_label(
    scores: Float[np.ndarray, "images classes"], labels: Int64[np.ndarray, " images"]
) -> Int64[np.ndarray, " images"]:
    """The number of classes that each image ranks above its own: 0 if it is classified correctly.

    Of equal scores the lower class index ranks first, so that the result depends on nothing else.
    """
    own = np.take_along_axis(scores, labels[:, None], axis=1)
    classes = np.arange(scores.shape[1])
    above = (scores > own) | ((scores == own) & (classes < labels[:, None]))
    return above.sum(axis=1, dtype=np.int64)


def top_k_accuracy(ranks: Int64[np.ndarray, " images"], k: int) -> float:
    """The percentage of images whose own class is among the first k; NaN without images.

    With k classes or fewer this is 100.
    """
    return 100.0 * int((ranks < k).sum()) / len(ranks) if len(ranks) else float("nan")
