"""The changes of the gradients between the backward pass and the optimizer."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

_EPSILON = 1e-6


@torch.no_grad()
def clip_each(parameters: Sequence[nn.Parameter], clip_norm: float) -> Float[Tensor, " parameters"]:
    """The norm of each gradient before it is clipped, in place, to `clip_norm` on its own.

    Departure from the usual global norm, as in the reference: every tensor is scaled by
    min(1, clip / (norm + 1e-6)). 0 leaves the gradients alone. Parameters without a gradient
    are left out.
    """
    gradients = [p.grad for p in parameters if p.grad is not None]
    norms = torch._foreach_norm(gradients)
    if clip_norm > 0:
        factors = torch._foreach_add(norms, _EPSILON)
        torch._foreach_reciprocal_(factors)
        torch._foreach_mul_(factors, clip_norm)
        torch._foreach_clamp_max_(factors, 1.0)
        torch._foreach_mul_(gradients, factors)
    return torch.stack(norms)


def freeze_last_layer(network: nn.Module, epoch: int, freeze_epochs: int) -> None:
    """Drop the gradients of the prototypes while `epoch` (from 0) is below `freeze_epochs`."""
    if epoch < freeze_epochs:
        for name, parameter in network.named_parameters():
            if "last_layer" in name:
                parameter.grad = None
