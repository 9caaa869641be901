"""The center that is taken from the teacher's scores, so that no prototype wins for all images."""

import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor, nn


class Center(nn.Module):
    """An exponential moving average of the teacher's mean scores (paper: equation 4)."""

    value: Tensor

    def __init__(self, out_dim: int, momentum: float) -> None:
        super().__init__()
        self.momentum = momentum
        self.register_buffer("value", torch.zeros(1, out_dim))

    @torch.no_grad()
    def update(self, teacher_scores: Float[Tensor, "rows prototypes"]) -> None:
        """c ← m·c + (1 − m)·mean over both views, the batch and all ranks."""
        mean = teacher_scores.float().mean(dim=0, keepdim=True)
        if dist.is_initialized():
            dist.all_reduce(mean)
            mean /= dist.get_world_size()
        self.value.lerp_(mean, 1.0 - self.momentum)
