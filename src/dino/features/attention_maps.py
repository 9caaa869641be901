"""The attention of [CLS] in the last block, and masks that keep a share of its mass."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from dino.features.frozen_backbone import FrozenBackbone


def no_cls_attention(backbone: FrozenBackbone) -> str | None:
    """Why `backbone` has no attention of a [CLS] token over square patches; None where it has."""
    if not backbone.has_cls_token or backbone.no_attention is not None:
        return (
            f"{backbone.name} has no self-attention of a [CLS] token over patches in its last block"
        )
    assert backbone.patch_size_px is not None
    height_px, width_px = backbone.patch_size_px
    if height_px == width_px:
        return None
    return f"its patches are not square but {height_px} x {width_px} px"


def cls_attention(
    backbone: FrozenBackbone, images: Float[Tensor, "batch 3 height width"]
) -> Float[Tensor, "batch heads rows columns"]:
    """The attention of [CLS] to the patches in the last block, on their grid.

    Not renormalised: what is missing to 1 is the attention of [CLS] to itself, and to the
    distillation and register tokens of a network that has them.
    """
    return backbone.attention(images, rows="cls").of_first_token


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
