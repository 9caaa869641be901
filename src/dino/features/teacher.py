"""A teacher's backbone as a folder that timm opens: config.json and model.safetensors."""

from pathlib import Path
from typing import Any

import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from dino.core.artifacts import read_json, replacing, write_json
from dino.core.configuration.architecture import ArchitectureConfig
from dino.core.errors import CheckpointError
from dino.data.normalisation import IMAGENET_MEAN, IMAGENET_STD
from dino.model.backbone import timm_arguments, use_reference_positions

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
REFERENCE_POSITIONS = "bicubic, scale factor (patches + 0.1) / sqrt(N)"


def save_backbone(
    folder: Path, architecture: ArchitectureConfig, weights: dict[str, Tensor]
) -> None:
    """Write a backbone so that `timm.create_model("local-dir:FOLDER")` opens it.

    Plain timm gives the same features at the exported image size. Other sizes need the
    positional rule that config.json records; `load_backbone` applies it.
    """
    size_px = architecture.image_size_px
    write_json(
        folder / CONFIG,
        {
            "architecture": architecture.timm_name,
            "num_classes": 0,
            "model_args": timm_arguments(architecture),
            "pretrained_cfg": {
                "input_size": [3, size_px, size_px],
                "interpolation": "bicubic",
                "crop_pct": 1.0,
                "mean": list(IMAGENET_MEAN),
                "std": list(IMAGENET_STD),
                "num_classes": 0,
            },
            "positions_at_other_sizes": REFERENCE_POSITIONS,
        },
    )
    with replacing(folder / WEIGHTS) as temporary:
        save_file({name: tensor.contiguous() for name, tensor in weights.items()}, temporary)


def load_backbone(folder: Path) -> nn.Module:
    """The backbone in `folder`, in evaluation mode, with the reference's positional rule.

    Raises `CheckpointError` when a file is missing, damaged or does not fit the other.
    """
    config = read_json(folder / CONFIG)
    weights = _read_weights(folder / WEIGHTS)
    try:
        backbone = timm.create_model(
            config["architecture"], pretrained=False, num_classes=0, **config["model_args"]
        )
        backbone.load_state_dict(weights)
    except (RuntimeError, KeyError, TypeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(
            f"{folder}: {CONFIG} and {WEIGHTS} do not make a model ({reason}); run `dino export`"
        ) from None
    if isinstance(backbone, VisionTransformer):
        use_reference_positions(backbone, fused_attention=True)
    return backbone.eval()


def _read_weights(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except FileNotFoundError:
        raise CheckpointError(f"{path}: not found; run `dino export`") from None
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path}: damaged ({error}); delete it and run `dino export` again"
        ) from None


def backbone_weights(network: dict[str, Any]) -> dict[str, torch.Tensor]:
    """The backbone's part of a multi-crop network's state, without its prefix."""
    prefix = "backbone."
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in network.items()
        if name.startswith(prefix)
    }
