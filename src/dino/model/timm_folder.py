"""A network in a folder as timm writes it: config.json, and its weights beside it."""

import inspect
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import timm
from safetensors import SafetensorError
from safetensors.torch import load_file
from timm.models import PretrainedCfg
from torch import Tensor, nn

from dino.core.artifacts import read_json
from dino.core.errors import CheckpointError
from dino.model.reference_checkpoint import load_reference_checkpoint
from dino.model.weights import as_float32, ensure_finite

CONFIG, WEIGHTS = "config.json", "model.safetensors"
_OTHER_WEIGHTS = "pytorch_model.bin"
_CHANNELS = 3
_NO_ARGUMENTS = {*inspect.signature(timm.create_model).parameters, "features_only"} - {"kwargs"}
"""Arguments of timm.create_model that a config.json may not set, such as files to load."""


@dataclass(frozen=True, kw_only=True)
class PixelStatistics:
    """The normalisation and the crop of the images that a network was trained on; pixels 0 to 1."""

    mean: tuple[float, ...]
    """The mean of each channel, which is subtracted before the division by `std`."""
    std: tuple[float, ...]
    crop_share: float
    """The share of the resized image's side that the central crop keeps."""


@dataclass(frozen=True, kw_only=True)
class TimmFolder:
    """The description of a network in config.json, with timm's defaults for absent values."""

    config: Path
    """The config.json that was read."""
    architecture: str
    """Name in timm, without the tag of pretrained weights."""
    arguments: dict[str, Any]
    """The arguments with which the architecture is built, without the number of classes."""
    image_size_px: tuple[int, int]
    """Height and width of the images that it was trained on."""
    pixels: PixelStatistics


def read_folder(folder: Path) -> TimmFolder:
    """The description in the config.json of `folder`.

    Raises `CheckpointError` for a value that cannot be used, an architecture that timm does not
    know, and a network of other images than those of three channels.
    """
    path = folder / CONFIG
    config = read_json(path)
    if not isinstance(config, dict):
        raise CheckpointError(f"{path}: expected what timm writes, got a {type(config).__name__}")
    name = str(config.get("architecture")).split(".")[0]
    if not timm.is_model(name):
        raise CheckpointError(
            f"{path}: expected an architecture of timm {timm.__version__}, got "
            f"{config.get('architecture')}"
        )
    # older versions of timm wrote all values side by side
    pretrained = config.get("pretrained_cfg") or config
    arguments = config.get("model_args") or {}
    if not isinstance(pretrained, dict) or not isinstance(arguments, dict):
        raise CheckpointError(f"{path}: expected pretrained_cfg and model_args with names in them")
    refused = sorted(_NO_ARGUMENTS & set(arguments))
    if refused:
        raise CheckpointError(
            f"{path}: expected model_args that size the architecture, got {refused[0]}"
        )
    arguments = {key: value for key, value in arguments.items() if key != "num_classes"}
    if arguments.get("global_pool") == "":
        # a network that was saved without pooling has a feature by that of its architecture
        del arguments["global_pool"]
    input_size = pretrained.get("input_size") or PretrainedCfg.input_size
    if pretrained.get("fixed_input_size"):
        arguments.setdefault("img_size", _sides(input_size, path))
    has_channels = isinstance(input_size, list | tuple) and len(input_size) > 2
    channels = arguments.get("in_chans") or (input_size[0] if has_channels else _CHANNELS)
    if channels != _CHANNELS:
        raise CheckpointError(
            f"{path}: expected a network of images with {_CHANNELS} channels, got {channels}"
        )
    return TimmFolder(
        config=path,
        architecture=name,
        arguments=arguments,
        image_size_px=_sides(arguments.get("img_size") or input_size, path),
        pixels=_pixels(pretrained, path),
    )


def pixels_of(pretrained: Mapping[str, Any]) -> PixelStatistics:
    """The statistics in timm's description of pretrained weights, with timm's defaults.

    Raises `ValueError` unless mean and std have a finite number for each of three channels.
    """
    given = {name: value for name, value in pretrained.items() if value is not None}
    mean, std = given.get("mean", PretrainedCfg.mean), given.get("std", PretrainedCfg.std)
    share = given.get("crop_pct", PretrainedCfg.crop_pct)
    pixels = PixelStatistics(
        mean=tuple(map(float, mean)), std=tuple(map(float, std)), crop_share=float(share)
    )
    numbers = (*pixels.mean, *pixels.std)
    of_each_channel = len(pixels.mean) == len(pixels.std) == _CHANNELS
    if not of_each_channel or not all(map(math.isfinite, numbers)) or min(pixels.std) <= 0:
        raise ValueError(f"mean {list(mean)} and std {list(std)}")
    if not 0 < pixels.crop_share <= 1:
        raise ValueError(f"crop_pct {share}")
    return pixels


def described(pixels: PixelStatistics) -> dict[str, Any]:
    """`pixels` in the words of timm's `pretrained_cfg`."""
    return {"mean": pixels.mean, "std": pixels.std, "crop_pct": pixels.crop_share}


def _pixels(pretrained: Mapping[str, Any], path: Path) -> PixelStatistics:
    try:
        return pixels_of(pretrained)
    except (TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path}: expected mean and std of {_CHANNELS} numbers, std above 0, and crop_pct "
            f"above 0 and at most 1, got {error}"
        ) from None


def _sides(size: Any, path: Path) -> tuple[int, int]:
    """Height and width from a single side, from both, or from channels, height and width."""
    sides = tuple(size[-2:]) if isinstance(size, list | tuple) else (size, size)
    if len(sides) != 2 or not all(type(side) is int and side > 0 for side in sides):
        raise CheckpointError(f"{path}: expected an image size as height and width, got {size}")
    return sides


def build(folder: TimmFolder, **other: Any) -> nn.Module:
    """The network without a classifier, freshly initialised; `other` replaces its arguments.

    Its `pretrained_cfg` says what it was trained to see.

    Raises `CheckpointError` for arguments that the architecture does not take.
    """
    arguments = {**folder.arguments, **other}
    try:
        return timm.create_model(
            folder.architecture,
            pretrained=False,
            num_classes=0,
            pretrained_cfg_overlay=described(folder.pixels),
            **arguments,
        )
    except Exception as error:
        # architectures raise errors of any type for arguments that do not fit them
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise CheckpointError(
            f"{folder.config}: timm cannot build {folder.architecture} with these model_args "
            f"({reason})"
        ) from None


def weights_file(folder: Path) -> Path:
    """The file with the weights: model.safetensors, else pytorch_model.bin.

    Raises `CheckpointError` where there is neither.
    """
    for name in (WEIGHTS, _OTHER_WEIGHTS):
        if (folder / name).is_file():
            return folder / name
    parts = any(folder.glob("*.index.json"))
    advice = "join the parts that its index names into one file" if parts else "run `dino export`"
    raise CheckpointError(f"{folder / WEIGHTS}: not found; {advice}")


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors in a file that `weights_file` names, in float32.

    Raises `CheckpointError` for a damaged file, and for weights that are NaN or infinite.
    """
    if path.suffix != ".safetensors":
        return load_reference_checkpoint(path).teacher.backbone
    try:
        weights = load_file(path)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path}: damaged ({' '.join(str(error).split())}); bring the whole file back, or "
            "delete it and run `dino export`"
        ) from None
    weights = as_float32(weights)
    ensure_finite(weights, path)
    return weights
