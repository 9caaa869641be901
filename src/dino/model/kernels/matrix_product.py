"""Matrix products by the fastest library that the processor has."""

from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable


def linear(
    x: Float[Tensor, "*rows inputs"],
    weight: Float[Tensor, "outputs inputs"],
    bias: Float[Tensor, " outputs"] | None = None,
) -> Float[Tensor, "*rows outputs"]:
    """`torch.nn.functional.linear`, faster in float32 on processors with AVX-512.

    Differentiable once. Everything else, autocast and other devices included, is torch's own.
    """
    operands = (x, weight) if bias is None else (x, weight, bias)
    plain = torch.is_autocast_enabled(x.device.type) or not all(map(_multiplies_float32, operands))
    return F.linear(x, weight, bias) if plain else _Linear.apply(x, weight, bias)


def product(
    left: Float[Tensor, "rows inner"],
    right: Float[Tensor, "columns inner"],
    bias: Float[Tensor, " columns"] | None = None,
) -> Float[Tensor, "rows columns"]:
    """`left` times the transpose of `right`, plus `bias`; autograd does not see it."""
    if _multiplies_float32(left):
        return torch.ops.mkldnn._linear_pointwise(left, right, bias, "none", [], "")
    return F.linear(left, right, bias) if bias is not None else torch.mm(left, right.t())


def _multiplies_float32(tensor: Tensor) -> bool:
    # an empty product is none to oneDNN
    return (
        tensor.dtype == torch.float32
        and tensor.device.type == "cpu"
        and tensor.numel() > 0
        and _has_onednn()
    )


@cache
def _has_onednn() -> bool:
    """Whether float32 products gain by oneDNN: asked once, of the processor and of torch's build.

    torch multiplies float32 by MKL, which keeps AVX-512 to Intel's processors; oneDNN, which
    torch has for its compiler and for bf16, takes half the time on others.
    """
    return bool(
        torch.backends.mkldnn.is_available()
        and torch.cpu.get_capabilities().get("avx512_f")
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    )


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return product(x.flatten(0, -2), weight, bias).unflatten(0, x.shape[:-1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        needs_x, needs_weight, needs_bias = ctx.needs_input_grad
        rows = gradient.flatten(0, -2)
        return (
            product(rows, weight.t()).view(x.shape) if needs_x else None,
            product(rows.t(), x.flatten(0, -2).t()) if needs_weight else None,
            rows.sum(dim=0) if needs_bias else None,
        )
