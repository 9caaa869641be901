"""Backbones from timm, with the reference's initial weights."""

from typing import Any

import timm
import torch
from torch import nn

from dino.core.configuration.architecture import ArchitectureConfig
from dino.core.errors import ConfigurationError
from dino.model.reference_vit import ReferencePositionVit, is_plain_vit, use_reference_positions

INIT_STD = 0.02
_TAKE_OTHER_SIZES = ("vision_transformer", "deit", "eva")
"""timm's modules whose networks interpolate their positions."""


def build_backbone(config: ArchitectureConfig, drop_path: float = 0.0) -> nn.Module:
    """A freshly initialised backbone without a classifier; images go in, [CLS] features come out.

    The weights are drawn from torch's global generator. Raises `ConfigurationError` for a name
    that timm does not know or sizes that it cannot build.
    """
    try:
        backbone = timm.create_model(
            config.timm_name, pretrained=False, num_classes=0, **timm_arguments(config, drop_path)
        )
    except (RuntimeError, TypeError, AssertionError) as error:
        raise ConfigurationError(
            f"architectures: timm cannot build {config.timm_name}: {' '.join(str(error).split())}"
        ) from None
    if is_plain_vit(backbone):
        # fused attention is faster forward, but its backward on processors takes several times as
        # long as plain products
        fused = torch.cuda.is_available()
        vit = use_reference_positions(backbone, fused_attention=fused)
        _initialise(vit)
        return vit
    return backbone


def timm_arguments(config: ArchitectureConfig, drop_path: float = 0.0) -> dict[str, Any]:
    """The keyword arguments that size the architecture in `timm.create_model`."""
    optional = {
        "patch_size": config.patch_size_px,
        "embed_dim": config.embed_dim,
        "depth": config.depth,
        "num_heads": config.num_heads,
    }
    arguments = {key: value for key, value in optional.items() if value is not None}
    if _family(config.timm_name) in _TAKE_OTHER_SIZES:
        arguments |= {"img_size": config.image_size_px, "dynamic_img_size": True}
    if config.timm_name.startswith("resnet"):
        # as in torchvision, which the reference builds its convnets with
        arguments["zero_init_last"] = False
    return {**arguments, "drop_path_rate": drop_path}


def _family(timm_name: str) -> str:
    """The module of timm that builds `timm_name`."""
    if not timm.is_model(timm_name):
        raise RuntimeError(f"unknown model {timm_name}")
    return str(timm.model_entrypoint(timm_name).__module__).rpartition(".")[2]


@torch.no_grad()
def _initialise(backbone: ReferencePositionVit) -> None:
    """Truncated normal of 0.02 for linear layers, positions and [CLS]; zero biases.

    The patch convolution keeps the framework's default, as in the reference.
    """
    nn.init.trunc_normal_(backbone.pos_embed, std=INIT_STD)
    nn.init.trunc_normal_(backbone.cls_token, std=INIT_STD)
    for module in backbone.modules():
        if isinstance(module, nn.Linear):
            nn.init.trunc_normal_(module.weight, std=INIT_STD)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
