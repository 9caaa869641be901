"""Backbones that were trained on pixels of another mean and spread than the project's."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dino.data.normalisation import IMAGENET_MEAN, IMAGENET_STD
from dino.model.reference_vit import ReferencePositionVit

_SCALE, _SHIFT = "pixel_scale", "pixel_shift"


def see_as_trained(backbone: nn.Module, mean: Sequence[float], std: Sequence[float]) -> nn.Module:
    """`backbone`, taking images of the project's normalisation and seeing its own.

    (x - mean) / std of its own is x_project · scale + shift; where the two normalisations are
    equal nothing is done. State and names stay as they are.
    """
    if tuple(mean) == IMAGENET_MEAN and tuple(std) == IMAGENET_STD:
        return backbone
    own_mean, own_std, project_mean, project_std = (
        torch.tensor(values, dtype=torch.float64).view(-1, 1, 1)
        for values in (mean, std, IMAGENET_MEAN, IMAGENET_STD)
    )
    backbone.register_buffer(_SCALE, (project_std / own_std).float(), persistent=False)
    backbone.register_buffer(
        _SHIFT, ((project_mean - own_mean) / own_std).float(), persistent=False
    )
    # everything that looks at images goes through one of these, not always through forward
    entry = "prepare_tokens" if isinstance(backbone, ReferencePositionVit) else "forward_features"
    kind = type(backbone)

    def seen(
        self: nn.Module, images: Float[Tensor, "batch 3 height width"], *more: Any, **others: Any
    ) -> Tensor:
        images = images * getattr(self, _SCALE) + getattr(self, _SHIFT)
        result: Tensor = getattr(super(own_kind, self), entry)(images, *more, **others)
        return result

    # a class, not a method of the instance, which a copy would share
    own_kind = type(kind.__name__, (kind,), {entry: seen})
    backbone.__class__ = own_kind
    return backbone
