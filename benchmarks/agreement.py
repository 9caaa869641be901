"""Whether two implementations compute the same, asserted before either is timed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from benchmarks.errors import BenchmarkError


@dataclass(frozen=True, kw_only=True)
class Numbers:
    """What one side computed on the benchmarked inputs."""

    loss: float
    gradients: Mapping[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class Tolerance:
    """The largest relative differences that count as rounding."""

    loss: float
    gradient: float
    """Of the L2 norm of all gradients together."""
    tensor: float
    """Of the L2 norm of any gradient; those below a thousandth of the largest count as that."""


FLOAT32 = Tolerance(loss=1e-5, gradient=1e-4, tensor=1e-3)
"""Sums in another order."""
BF16 = Tolerance(loss=1e-3, gradient=0.03, tensor=0.1)
"""8 bits of mantissa in every activation, on both sides or against float32."""


def assert_agreement(
    pair: str, ours: Numbers, textbook: Numbers, tolerance: Tolerance
) -> dict[str, float]:
    """The differences, for the record; raises `BenchmarkError` when they exceed the tolerance."""
    if ours.gradients.keys() != textbook.gradients.keys():
        only = sorted(ours.gradients.keys() ^ textbook.gradients.keys())
        raise BenchmarkError(f"{pair}: only one side has a gradient of {', '.join(only)}")
    found = {
        "loss_difference": abs(ours.loss - textbook.loss) / abs(textbook.loss),
        **gradient_differences(ours.gradients, textbook.gradients),
    }
    allowed = {
        "loss_difference": tolerance.loss,
        "gradient_difference": tolerance.gradient,
        "tensor_difference": tolerance.tensor,
    }
    for name, most in allowed.items():
        # written so that a NaN fails
        if not found[name] <= most:
            raise BenchmarkError(
                f"{pair}: the sides disagree: {name} is {found[name]:.2g}, expected at most {most}"
            )
    return found


def gradient_differences(
    ours: Mapping[str, Tensor], textbook: Mapping[str, Tensor]
) -> dict[str, float]:
    """The relative L2 difference of all tensors together, and the largest of a single one."""
    differences = _norms(ours[name] - textbook[name] for name in textbook)
    sizes = _norms(textbook.values())
    floor = sizes.max() / 1000
    return {
        "gradient_difference": float(differences.norm() / sizes.norm()),
        "tensor_difference": float((differences / sizes.clamp(min=floor)).max()),
    }


def gradients_of_first_step(
    optimizer: torch.optim.Optimizer, parameters: Iterable[tuple[str, nn.Parameter]]
) -> dict[str, Tensor]:
    """The gradients that AdamW saw in its first step: its first moment is then (1 − β1)·g."""
    share = 1 - optimizer.param_groups[0]["betas"][0]
    return {
        name: optimizer.state[parameter]["exp_avg"] / share
        for name, parameter in parameters
        if "exp_avg" in optimizer.state[parameter]
    }


def _norms(tensors: Iterable[Tensor]) -> Tensor:
    return torch.stack([tensor.detach().double().norm() for tensor in tensors])
