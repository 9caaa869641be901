"""What moves the networks, one parameter after the other: clipping, AdamW, moving average."""

from collections.abc import Iterable

import torch
from torch import nn

_EPSILON = 1e-6


@torch.no_grad()
def clip_each(parameters: Iterable[nn.Parameter], clip_norm: float) -> None:
    """Scale every gradient, in place, to a norm of at most `clip_norm`."""
    for parameter in parameters:
        if parameter.grad is not None:
            factor = clip_norm / (parameter.grad.norm() + _EPSILON)
            parameter.grad.mul_(factor.clamp(max=1.0))


@torch.no_grad()
def move_teacher(teacher: nn.Module, student: nn.Module, momentum: float) -> None:
    """θt ← m·θt + (1 − m)·θs."""
    pairs = zip(teacher.parameters(), student.parameters(), strict=True)
    for teacher_parameter, student_parameter in pairs:
        teacher_parameter.mul_(momentum).add_((1 - momentum) * student_parameter)


def build_adamw(network: nn.Module) -> torch.optim.AdamW:
    """AdamW with its default implementation; biases and 1-D tensors, in group 1, do not decay."""
    decayed: list[nn.Parameter] = []
    not_decayed: list[nn.Parameter] = []
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            plain = name.endswith(".bias") or parameter.ndim == 1
            (not_decayed if plain else decayed).append(parameter)
    return torch.optim.AdamW([{"params": decayed}, {"params": not_decayed, "weight_decay": 0.0}])
