"""Where the [CLS] token looks: self-attention of the last block, and masks that keep its mass."""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from dino.model.reference_vit import ReferencePositionVit


def no_cls_attention(backbone: nn.Module) -> str | None:
    """Why `backbone` has no attention of a [CLS] token over patches; None where it has."""
    if isinstance(backbone, ReferencePositionVit):
        height_px, width_px = backbone.patch_embed.patch_size
        if height_px == width_px:
            return None
        return f"its patches are not square but {height_px} x {width_px} px"
    return (
        f"{type(backbone).__name__} has no self-attention of a [CLS] token over patches "
        "in its last block"
    )


def last_self_attention(
    backbone: ReferencePositionVit, images: Float[Tensor, "batch 3 height width"]
) -> Float[Tensor, "batch heads tokens tokens"]:
    """The attention of every token (rows) over all tokens in the last block; rows sum to 1."""
    queries, keys = _last_queries_and_keys(backbone, images)
    return (queries @ keys.transpose(-2, -1)).softmax(dim=-1)


def cls_attention(
    backbone: ReferencePositionVit, images: Float[Tensor, "batch 3 height width"]
) -> Float[Tensor, "batch heads rows columns"]:
    """The [CLS] row of `last_self_attention` without [CLS] itself, on the grid of patches.

    Not renormalised: what is missing to 1 is the attention of [CLS] to itself.
    """
    queries, keys = _last_queries_and_keys(backbone, images)
    attention = (queries[:, :, :1] @ keys.transpose(-2, -1)).softmax(dim=-1)
    return cls_maps(attention, backbone.patch_embed.dynamic_feat_size(images.shape[-2:]))


def cls_maps(
    attention: Float[Tensor, "batch heads queries tokens"], grid: tuple[int, int]
) -> Float[Tensor, "batch heads rows columns"]:
    """The first row of `attention` without its first column, as maps of `grid` patches."""
    return attention[:, :, 0, 1:].unflatten(-1, grid)


def _last_queries_and_keys(
    backbone: ReferencePositionVit, images: Float[Tensor, "batch 3 height width"]
) -> tuple[Float[Tensor, "batch heads tokens dim"], Float[Tensor, "batch heads tokens dim"]]:
    """The scaled queries and the keys of the last block."""
    tokens = backbone.blocks[:-1](backbone.prepare_tokens(images))
    last: Any = backbone.blocks[-1]
    attention = last.attn
    projected = attention.qkv(last.norm1(tokens))
    # [batch, tokens, (q k v) heads dim] -> [q k v, batch, heads, tokens, dim]
    queries, keys, _ = projected.unflatten(-1, (3, attention.num_heads, -1)).permute(2, 0, 3, 1, 4)
    return attention.q_norm(queries) * attention.scale, attention.k_norm(keys)


def masks_of_mass(
    maps: Float[Tensor, "*images rows columns"], mass: float
) -> Bool[Tensor, "*images rows columns"]:
    """True on the fewest patches whose attention adds up to the share `mass` of each map's sum.

    In ascending order the cumulative share must exceed 1 - mass, as in the reference's
    visualize_attention.py; of equal patches those that come last are kept.
    """
    ascending = maps.flatten(-2).sort(dim=-1, stable=True)
    shares = ascending.values / ascending.values.sum(dim=-1, keepdim=True)
    kept = shares.cumsum(dim=-1) > 1 - mass
    return torch.zeros_like(kept).scatter(-1, ascending.indices, kept).view(maps.shape)


def upsampled(
    maps: Float[Tensor, "batch heads rows columns"], patch_size_px: int
) -> Float[Tensor, "batch heads height width"]:
    """Maps in pixels: every patch's value on all of its pixels."""
    return F.interpolate(maps, scale_factor=patch_size_px, mode="nearest")
