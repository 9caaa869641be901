"""The two branches of a transformer block, forward and backward, as one operation each.

The numbers are those of timm's block, under autocast too: matrix products and what they hand to
each other in bf16, normalisation and softmax in float32. What differs is the work between the
products, which on a processor costs as much as many of them: conversions of precision, the copies
in which heads are rearranged, and one short operation of autograd after the other.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from dino.model.kernels.matrix_product import product

aten = torch.ops.aten


class AttentionBranch(torch.autograd.Function):
    """Projection(attention(norm(x))), without the residual."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        norm_weight: Tensor,
        norm_bias: Tensor,
        eps: float,
        qkv_weight: Tensor,
        qkv_bias: Tensor,
        proj_weight: Tensor,
        proj_bias: Tensor,
        heads: int,
        fused: bool,
        dtype: torch.dtype,
    ) -> Tensor:
        batch, tokens, _ = x.shape
        qkv_weight, proj_weight = qkv_weight.to(dtype), proj_weight.to(dtype)
        normed, mean, rstd = _normed(x, norm_weight, norm_bias, eps, dtype)
        projected = product(normed, qkv_weight, qkv_bias.to(dtype))
        # [batch tokens (3 heads dim)] -> 3 of [(batch heads) tokens dim]
        qkv = projected.view(batch, tokens, 3, heads, -1).permute(2, 0, 3, 1, 4).contiguous()
        queries, keys, values = qkv.flatten(1, 2)
        scale = queries.shape[-1] ** -0.5
        if fused:
            attended = F.scaled_dot_product_attention(*qkv)
            attention = None
        else:
            attention = _attention(queries, keys, scale)
            attended = torch.bmm(attention, values).view(batch, heads, tokens, -1)
        merged = attended.transpose(1, 2).reshape(batch * tokens, -1)
        ctx.save_for_backward(
            x, norm_weight, norm_bias, mean, rstd, normed, qkv_weight, qkv, attention, merged,
            proj_weight,
        )  # fmt: skip
        ctx.scale = scale
        return product(merged, proj_weight, proj_bias.to(dtype)).view(batch, tokens, -1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        (
            x, norm_weight, norm_bias, mean, rstd, normed, qkv_weight, qkv, attention, merged,
            proj_weight,
        ) = ctx.saved_tensors  # fmt: skip
        _, batch, heads, tokens, _ = qkv.shape
        rows = gradient.reshape(batch * tokens, -1)
        proj_gradients = _parameter_gradients(rows, merged)
        # [(batch tokens) (heads dim)] -> [(batch heads) tokens dim]
        attended = product(rows, proj_weight.t()).view(batch, tokens, heads, -1)
        attended = attended.transpose(1, 2).flatten(0, 1)

        queries, keys, values = qkv.flatten(1, 2)
        d_qkv = torch.empty_like(qkv).flatten(1, 2)
        d_queries, d_keys, d_values = d_qkv
        torch.bmm(attention.transpose(1, 2), attended, out=d_values)
        d_scores = _softmax_gradient(torch.bmm(attended, values.transpose(1, 2)), attention)
        _scaled_product(d_scores, keys, ctx.scale, out=d_queries)
        _scaled_product(d_scores.transpose(1, 2), queries, ctx.scale, out=d_keys)
        d_projected = d_qkv.view(qkv.shape).permute(1, 3, 0, 2, 4).reshape(batch * tokens, -1)

        qkv_gradients = _parameter_gradients(d_projected, normed)
        norm_gradients = _norm_gradients(
            product(d_projected, qkv_weight.t()), x, mean, rstd, norm_weight, norm_bias
        )
        return (*norm_gradients, None, *qkv_gradients, *proj_gradients, None, None, None)


class MlpBranch(torch.autograd.Function):
    """Linear(GELU(linear(norm(x)))), without the residual."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        norm_weight: Tensor,
        norm_bias: Tensor,
        eps: float,
        weight1: Tensor,
        bias1: Tensor,
        weight2: Tensor,
        bias2: Tensor,
        dtype: torch.dtype,
    ) -> Tensor:
        weight1, weight2 = weight1.to(dtype), weight2.to(dtype)
        normed, mean, rstd = _normed(x, norm_weight, norm_bias, eps, dtype)
        hidden = product(normed, weight1, bias1.to(dtype))
        activated = F.gelu(hidden)
        ctx.save_for_backward(
            x, norm_weight, norm_bias, mean, rstd, normed, weight1, hidden, activated, weight2
        )
        return product(activated, weight2, bias2.to(dtype)).view(x.shape)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        (
            x, norm_weight, norm_bias, mean, rstd, normed, weight1, hidden, activated, weight2
        ) = ctx.saved_tensors  # fmt: skip
        rows = gradient.reshape(len(hidden), -1)
        gradients2 = _parameter_gradients(rows, activated)
        d_hidden = aten.gelu_backward(product(rows, weight2.t()), hidden)
        gradients1 = _parameter_gradients(d_hidden, normed)
        norm_gradients = _norm_gradients(
            product(d_hidden, weight1.t()), x, mean, rstd, norm_weight, norm_bias
        )
        return (*norm_gradients, None, *gradients1, *gradients2, None)


def _normed(
    x: Tensor, weight: Tensor, bias: Tensor, eps: float, dtype: torch.dtype
) -> tuple[Tensor, Tensor, Tensor]:
    """LayerNorm of x as rows in `dtype`, and the mean and inverse deviation of each token."""
    normed, mean, rstd = torch.native_layer_norm(x, x.shape[-1:], weight, bias, eps)
    return normed.flatten(0, 1).to(dtype), mean, rstd


def _norm_gradients(
    gradient: Tensor, x: Tensor, mean: Tensor, rstd: Tensor, weight: Tensor, bias: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of LayerNorm's input, weight and bias."""
    return aten.native_layer_norm_backward(
        gradient.to(x.dtype).view(x.shape),
        *(x, x.shape[-1:], mean, rstd, weight, bias),
        [True, True, True],
    )


def _parameter_gradients(gradient: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """The gradients of a linear layer's weight and bias, in float32 as they are kept."""
    weight = product(gradient.t(), x.t())
    return weight, gradient.sum(dim=0)


def _attention(queries: Tensor, keys: Tensor, scale: float) -> Tensor:
    """Softmax over the keys of the scaled scores."""
    scores = queries.new_empty(len(queries), queries.shape[1], keys.shape[1])
    _scaled_product(queries, keys.transpose(1, 2), scale, out=scores)
    return scores.to(_wide(scores)).softmax(dim=-1).to(queries.dtype)


def _softmax_gradient(gradient: Tensor, attention: Tensor) -> Tensor:
    wide = _wide(gradient)
    scores = aten._softmax_backward_data(gradient.to(wide), attention.to(wide), -1, wide)
    return scores.to(gradient.dtype)


def _wide(tensor: Tensor) -> torch.dtype:
    """The precision of what is not a product; torch's softmax of bf16 is slower than of float32."""
    return torch.promote_types(tensor.dtype, torch.float32)


def _scaled_product(left: Tensor, right: Tensor, scale: float, out: Tensor) -> None:
    # beta 0: what stands in `out` is not read
    torch.baddbmm(out, left, right, beta=0, alpha=scale, out=out)
