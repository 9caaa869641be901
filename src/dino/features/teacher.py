"""A teacher's backbone as a folder that timm opens: config.json and model.safetensors."""

from pathlib import Path
from typing import Any

import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from dino.core.artifacts import replacing, sha256_of_file, write_json
from dino.core.configuration.architecture import ArchitectureConfig
from dino.core.errors import CheckpointError
from dino.data.normalisation import IMAGENET_MEAN, IMAGENET_STD
from dino.features.frozen_backbone import FrozenBackbone
from dino.features.pixel_statistics import see_as_trained
from dino.model.backbone import takes_other_sizes, timm_arguments
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


def load_backbone(folder: Path) -> FrozenBackbone:
    """The backbone in `folder`, with the reference's positional rule where it has the notion.

    Raises `CheckpointError` when a file is missing, damaged or does not fit the other.
    """
    described = read_folder(folder)
    # timm records this for a network alone that was built so, and at its own size it changes
    # nothing
    any_size = {"dynamic_img_size": True} if takes_other_sizes(described.architecture) else {}
    network = _in_timm(folder, any_size)
    if is_plain_vit(network):
        network = use_reference_positions(network, fused_attention=True)
    return FrozenBackbone(network, sha256_of_file(weights_file(folder)))


def load_trainable_backbone(folder: Path, drop_path: float) -> nn.Module:
    """The same network, in training mode, with drop path up to `drop_path` in its last block.

    Like a frozen one it takes images that are normalised as this project does it.
    """
    backbone = _in_timm(folder, {"drop_path_rate": drop_path})
    if is_plain_vit(backbone):
        # as in build_backbone: on processors its backward takes several times as long
        fused = torch.cuda.is_available()
        backbone = use_reference_positions(backbone, fused_attention=fused)
    return see_as_trained(backbone).train()


def load_for_one_size(folder: Path) -> nn.Module:
    """The backbone in `folder` as timm builds it, for images of the exported size alone.

    There it gives the features of `load_backbone`, with operations that other programs know.
    """
    described = read_folder(folder)
    one_size = {"dynamic_img_size": False} if "dynamic_img_size" in described.arguments else {}
    return see_as_trained(_in_timm(folder, one_size)).eval()


def _in_timm(folder: Path, arguments: dict[str, Any]) -> nn.Module:
    """The network as timm builds it; `arguments` go before those of config.json."""
    described, file = read_folder(folder), weights_file(folder)
    backbone = build(described, **arguments)
    weights = without_classifier(read_weights(file), backbone)
    problem = misfit(weights, backbone)
    if problem is not None:
        raise CheckpointError(
            f"{file}: does not fit the {described.architecture} of {CONFIG} beside it: {problem}; "
            "write both again, with `dino export` or with timm's save_for_hf"
        )
    backbone.load_state_dict(weights)
    return backbone


def backbone_weights(network: dict[str, Any]) -> dict[str, torch.Tensor]:
    """The backbone's part of a multi-crop network's state, without its prefix."""
    prefix = "backbone."
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in network.items()
        if name.startswith(prefix)
    }
