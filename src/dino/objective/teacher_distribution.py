"""The teacher's distributions, which are the targets, and the centering against collapse."""

from typing import Literal

import torch
import torch.distributed as dist
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from dino.objective.views import GLOBAL_CROPS, numbers_in_block

Centering = Literal["mean", "sinkhorn_knopp", "softmax", "none"]
_BATCH_ITERATIONS = {"sinkhorn_knopp": 3, "softmax": 1}


@torch.no_grad()
def teacher_distribution(
    scores: Float[Tensor, "rows prototypes"],
    center: Float[Tensor, "1 prototypes"],
    temperature: float,
    centering: Centering = "mean",
) -> Float[Tensor, "rows prototypes"]:
    """The teacher's distributions over prototypes, at least in float32; every row sums to 1.

    mean: softmax((scores − center) / temperature), centred, then sharpened (paper: equation 4).
    none: the same without the center. sinkhorn_knopp and softmax: exp(scores / temperature) with
    columns and rows divided in turn by their sums, three times or once (paper: appendix D); once
    is a softmax over the batch whose rows are then normalised.

    The columns' sums go over the images of all ranks, for each of the two views on its own: the
    loss as the paper writes it (algorithm 1) makes a distribution of one view at a time, and so
    does SwAV, where this centering comes from.
    """
    if centering in _BATCH_ITERATIONS:
        return _over_the_batch(scores, temperature, _BATCH_ITERATIONS[centering])
    result = torch.empty_like(scores, dtype=_arithmetic(scores))
    rows = max(numbers_in_block(scores.device) // scores.shape[1], 1)
    for part, out in zip(scores.split(rows), result.split(rows), strict=True):
        part = part.to(result.dtype)
        sharp = (part - center if centering == "mean" else part) / temperature
        torch.softmax(sharp, dim=-1, out=out)
    return result


def _over_the_batch(
    scores: Float[Tensor, "rows prototypes"], temperature: float, iterations: int
) -> Float[Tensor, "rows prototypes"]:
    views = (scores.to(_arithmetic(scores)) / temperature).unflatten(0, (GLOBAL_CROPS, -1))
    # in logarithms, so that no row loses all that it has when its scores are far below others
    for _ in range(iterations):
        views = F.log_softmax(views - _log_sum_over_images(views), dim=-1)
    return views.exp_().flatten(0, 1)


def _arithmetic(scores: Tensor) -> torch.dtype:
    return torch.promote_types(scores.dtype, torch.float32)


def _log_sum_over_images(
    views: Float[Tensor, "views images prototypes"],
) -> Float[Tensor, "views 1 prototypes"]:
    """ln of the sum of exp over the images of all ranks, for each view and prototype."""
    largest = views.amax(dim=1, keepdim=True)
    if dist.is_initialized():
        dist.all_reduce(largest, dist.ReduceOp.MAX)
    total = (views - largest).exp_().sum(dim=1, keepdim=True)
    if dist.is_initialized():
        dist.all_reduce(total)
    return largest + total.log_()
