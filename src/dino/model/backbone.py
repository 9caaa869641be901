"""Backbones from timm, with the reference's initial weights."""

from typing import Any

import timm
import torch
from timm.data.constants import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from torch import nn

from dino.core.configuration.architecture import ArchitectureConfig
from dino.core.errors import ConfigurationError
from dino.model.reference_vit import ReferencePositionVit, is_plain_vit, use_reference_positions

INIT_STD = 0.02
_PIXELS = {"mean": IMAGENET_DEFAULT_MEAN, "std": IMAGENET_DEFAULT_STD}
"""The pixel statistics of networks trained here, whatever timm's weights of that name have."""
_TAKE_OTHER_SIZES = ("vision_transformer", "deit", "eva")
"""timm's modules whose networks interpolate their positions."""


def build_backbone(config: ArchitectureConfig, drop_path: float = 0.0) -> nn.Module:
    """A freshly initialised backbone without a classifier; images go in, [CLS] features come out.

    The weights are drawn from torch's global generator. Raises `ConfigurationError` for a name
    that timm does not know or sizes that it cannot build.
    """
    try:
        backbone = timm.create_model(
            config.timm_name,
            pretrained=False,
            num_classes=0,
            pretrained_cfg_overlay=_PIXELS,
            **timm_arguments(config, drop_path),
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
    if takes_other_sizes(config.timm_name):
        arguments |= {"img_size": config.image_size_px, "dynamic_img_size": True}
    if config.timm_name.startswith("resnet"):
        # as in torchvision, which the reference builds its convnets with
        arguments["zero_init_last"] = False
    return {**arguments, "drop_path_rate": drop_path}


def takes_other_sizes(timm_name: str) -> bool:
    """Whether `timm_name` is of a family whose networks interpolate their positions."""
    if not timm.is_model(timm_name):
        raise RuntimeError(f"unknown model {timm_name}")
    module = str(timm.model_entrypoint(timm_name).__module__)
    return module.rpartition(".")[2] in _TAKE_OTHER_SIZES


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
