"""A teacher's backbone as a folder that timm opens: config.json and model.safetensors."""

from pathlib import Path
from typing import Any

import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from dino.core.artifacts import replacing, write_json
from dino.core.configuration.architecture import ArchitectureConfig
from dino.core.errors import CheckpointError
from dino.data.normalisation import IMAGENET_MEAN, IMAGENET_STD
from dino.features.pixel_statistics import see_as_trained
from dino.model.backbone import timm_arguments
from dino.model.reference_vit import is_plain_vit, use_reference_positions
from dino.model.timm_folder import (
    CONFIG,
    WEIGHTS,
    PixelStatistics,
    build,
    read_folder,
    read_weights,
    weights_file,
)
from dino.model.weights import ensure_finite, misfit, without_classifier

REFERENCE_POSITIONS = "bicubic, scale factor (patches + 0.1) / sqrt(N)"


def save_backbone(
    folder: Path,
    architecture: ArchitectureConfig,
    weights: dict[str, Tensor],
    pixels: PixelStatistics | None = None,
) -> None:
    """Write a backbone so that `timm.create_model("local-dir:FOLDER")` opens it.

    `pixels`: what the backbone was trained to see; None: what this project trains with. Plain timm
    gives the same features at the exported image size. Other sizes need the positional rule that
    config.json records; `load_backbone` applies it. Raises `CheckpointError` for weights that are
    NaN or infinite, and then writes nothing.
    """
    ensure_finite(weights, f"the weights for {folder}")
    size_px = architecture.image_size_px
    arguments = timm_arguments(architecture)
    pixels = pixels or PixelStatistics(mean=IMAGENET_MEAN, std=IMAGENET_STD, crop_share=1.0)
    # what follows a dot in timm's names are weights, and these are in the folder
    name = architecture.timm_name.split(".")[0]
    config = {
        "architecture": name,
        "num_classes": 0,
        "model_args": arguments,
        "pretrained_cfg": {
            "input_size": [3, size_px, size_px],
            "interpolation": "bicubic",
            "crop_pct": pixels.crop_share,
            "mean": list(pixels.mean),
            "std": list(pixels.std),
            "num_classes": 0,
        },
    }
    with torch.device("meta"):
        backbone = timm.create_model(name, num_classes=0, **arguments)
    if is_plain_vit(backbone):
        config["positions_at_other_sizes"] = REFERENCE_POSITIONS
    write_json(folder / CONFIG, config)
    with replacing(folder / WEIGHTS) as temporary:
        save_file({name: tensor.contiguous() for name, tensor in weights.items()}, temporary)


def load_backbone(folder: Path) -> nn.Module:
    """The backbone in `folder`, in evaluation mode, with the reference's positional rule.

    It takes images that are normalised as this project does it, whatever it was trained to see.
    Raises `CheckpointError` when a file is missing, damaged or does not fit the other.
    """
    backbone = _in_timm(folder)
    if is_plain_vit(backbone):
        backbone = use_reference_positions(backbone, fused_attention=True)
    return _seeing_as_trained(backbone, folder).eval()


def load_trainable_backbone(folder: Path, drop_path: float) -> nn.Module:
    """The same backbone, in training mode, with drop path up to `drop_path` in its last block."""
    backbone = _in_timm(folder, drop_path_rate=drop_path)
    if is_plain_vit(backbone):
        # as in build_backbone: on processors its backward takes several times as long
        fused = torch.cuda.is_available()
        backbone = use_reference_positions(backbone, fused_attention=fused)
    return _seeing_as_trained(backbone, folder).train()


def load_for_one_size(folder: Path) -> nn.Module:
    """The backbone in `folder` as timm builds it, for images of the exported size alone.

    There it gives the features of `load_backbone`, with operations that other programs know.
    """
    return _seeing_as_trained(_in_timm(folder, dynamic_img_size=False), folder).eval()


def _in_timm(folder: Path, **other: Any) -> nn.Module:
    """`other` replaces arguments that config.json has, and says the rate of drop path anyway."""
    described, file = read_folder(folder), weights_file(folder)
    replaced = {
        name: value
        for name, value in other.items()
        if name in described.arguments or name == "drop_path_rate"
    }
    backbone = build(described, **replaced)
    weights = without_classifier(read_weights(file), backbone)
    problem = misfit(weights, backbone)
    if problem is not None:
        raise CheckpointError(
            f"{file}: does not fit the {described.architecture} of {CONFIG} beside it: {problem}; "
            "write both again, with `dino export` or with timm's save_for_hf"
        )
    backbone.load_state_dict(weights)
    return backbone


def _seeing_as_trained(backbone: nn.Module, folder: Path) -> nn.Module:
    pixels = read_folder(folder).pixels
    return see_as_trained(backbone, pixels.mean, pixels.std)


def backbone_weights(network: dict[str, Any]) -> dict[str, torch.Tensor]:
    """The backbone's part of a multi-crop network's state, without its prefix."""
    prefix = "backbone."
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in network.items()
        if name.startswith(prefix)
    }
