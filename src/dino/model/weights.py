"""A network's weights by name: whether they are finite, and whether they fit a network."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from dino.core.errors import CheckpointError


def ensure_finite(weights: Mapping[str, Tensor], source: str | Path) -> None:
    """Raise `CheckpointError`, naming the first tensor of `source` that is not finite."""
    for name, tensor in weights.items():
        if not torch.isfinite(tensor).all():
            raise CheckpointError(
                f"{source}: {name} holds NaN or infinite numbers, so that every feature would; "
                "its training diverged or the file is damaged: take an earlier checkpoint"
            )


def as_float32(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """`weights` in float32; counters stay whole numbers."""
    return {
        name: tensor.float() if tensor.is_floating_point() else tensor
        for name, tensor in weights.items()
    }


def without_classifier(weights: Mapping[str, Tensor], backbone: nn.Module) -> dict[str, Tensor]:
    """`weights` without those of the classifier that `backbone`, built by timm, was built without.

    Distilled transformers have two.
    """
    names = getattr(backbone, "pretrained_cfg", {}).get("classifier") or ()
    prefixes = tuple(f"{name}." for name in ((names,) if isinstance(names, str) else names))
    expected = backbone.state_dict()
    return {n: w for n, w in weights.items() if n in expected or not n.startswith(prefixes)}


def misfit(weights: Mapping[str, Tensor], backbone: nn.Module) -> str | None:
    """The first name that does not fit, and how; None where all do."""
    expected = backbone.state_dict()
    for name, tensor in expected.items():
        if name not in weights:
            return f"{name} is missing"
        if weights[name].shape != tensor.shape:
            got, wanted = tuple(weights[name].shape), tuple(tensor.shape)
            return f"expected {name} of shape {wanted}, got {got}"
    unknown = next((name for name in weights if name not in expected), None)
    return None if unknown is None else f"{unknown} is not part of it"
