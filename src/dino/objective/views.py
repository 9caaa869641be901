"""The views of an image that are compared, and the pieces in which they are computed.

Rows of scores and distributions are view-major: all images' first view, then their second. The
first two views are the global crops, which the teacher sees too.
"""

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

GLOBAL_CROPS = 2

# On a processor a block and what is made of it stay in the cache; on a GPU it keeps all units
# busy, while the temporary copies remain small beside the scores.
_NUMBERS_CPU = 2**18
_NUMBERS_GPU = 2**25


def numbers_in_block(device: torch.device) -> int:
    """The number of scores that are computed together."""
    return _NUMBERS_CPU if device.type == "cpu" else _NUMBERS_GPU


def blocks(
    students: Float[Tensor, "views images prototypes"],
) -> Iterator[tuple[slice, list[slice]]]:
    """The images, and the slices of their views, that are computed together.

    The two global views are a slice of their own, since their teachers differ.
    """
    count, images, prototypes = students.shape
    numbers = numbers_in_block(students.device)
    together = min(max(numbers // (GLOBAL_CROPS * prototypes), 1), images)
    local = max(numbers // (together * prototypes), 1)
    views = [slice(0, GLOBAL_CROPS)]
    views += [slice(view, view + local) for view in range(GLOBAL_CROPS, count, local)]
    for image in range(0, images, together):
        yield slice(image, image + together), views


def teachers_of_views(
    q: Float[Tensor, "2 images prototypes"],
) -> tuple[Float[Tensor, "2 images prototypes"], Float[Tensor, "images prototypes"]]:
    """The sum of each view's targets: a global one learns from the other, a local from both."""
    return q.flip(0), q.sum(dim=0)


def pair_count(students: Float[Tensor, "views images prototypes"]) -> int:
    """Number of ordered pairs (teacher view, student view) of different views, over all images."""
    views, images, _ = students.shape
    return GLOBAL_CROPS * (views - 1) * images
