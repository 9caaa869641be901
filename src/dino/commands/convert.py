"""convert: write a checkpoint or an exported teacher in another format."""

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch

from dino.core.artifacts import replacing, sha256_of_file
from dino.core.configuration.architecture import ArchitectureConfig, WeightsConfig
from dino.core.errors import CheckpointError, ConfigurationError
from dino.data.normalisation import IMAGENET_MEAN, IMAGENET_STD
from dino.features.teacher import load_for_one_size, save_backbone
from dino.model.checkpoint import load_checkpoint
from dino.model.existing_teacher import existing_teacher
from dino.model.reference_checkpoint import (
    ReferenceCheckpoint,
    architecture_of,
    load_reference_checkpoint,
    save_reference_checkpoint,
)
from dino.model.timm_folder import read_folder, weights_file


def execute(source: Path, output: Path, network: Literal["teacher", "student"]) -> None:
    """Write `output` in the format that its suffix asks for.

    A training checkpoint becomes, of its `network`, ONNX (.onnx) or a folder that timm opens (no
    suffix); one of this project becomes the reference's (.pth). An exported folder, and a
    checkpoint of the reference, become the reference's file with a backbone alone (.pth). Raises
    `ConfigurationError` for another suffix, and `CheckpointError` for a source that cannot be used.
    """
    folder = source.is_dir()
    known = (".pth", ".onnx") if folder else (".pth", ".onnx", "")
    if output.suffix not in known:
        raise ConfigurationError(
            f"{output}: expected a name that ends in {' or '.join(filter(None, known))}"
            + ("" if folder else ", or a folder's without a suffix")
        )
    if folder:
        _convert_folder(source, output)
        return
    checkpoint = load_reference_checkpoint(source)
    if output.suffix == ".pth" and checkpoint.architecture is not None:
        save_reference_checkpoint(output, load_checkpoint(source))
        return
    architecture = _architecture_of(checkpoint, source)
    weights = WeightsConfig(file=str(source), network=network)
    teacher = existing_teacher(replace(architecture, weights=weights))
    if output.suffix == "":
        save_backbone(output, architecture, teacher.weights, teacher.pixels)
        return
    with tempfile.TemporaryDirectory() as exported:
        save_backbone(Path(exported), architecture, teacher.weights, teacher.pixels)
        _convert_folder(Path(exported), output)


def _architecture_of(checkpoint: ReferenceCheckpoint, source: Path) -> ArchitectureConfig:
    architecture = architecture_of(checkpoint, source)
    if architecture is None:
        raise CheckpointError(
            f"{source}: is none of the reference's ViT-T, S and B; describe it in params.yaml as "
            "an architecture with weights, and run `dino export`"
        )
    return architecture


def _convert_folder(folder: Path, output: Path) -> None:
    if output.suffix == ".onnx":
        _onnx(folder, output)
        return
    described, weights = read_folder(folder), load_for_one_size(folder).state_dict()
    height_px, width_px = described.image_size_px
    if height_px != width_px and "pos_embed" in weights:
        raise CheckpointError(
            f"{folder}: was made for images of {height_px} x {width_px} px, and the reference "
            "reads the positions in its files as those of squares; convert it to .onnx"
        )
    with replacing(output) as temporary, temporary.open("wb") as stream:
        torch.save(dict(weights), stream)
    mean, std = described.pixels.mean, described.pixels.std
    if (mean, std) != (IMAGENET_MEAN, IMAGENET_STD):
        print(
            f"{output}: it has no place for what the network was trained to see, pixels less "
            f"{_text(mean)} over {_text(std)}; say it where you use the file"
        )


def _onnx(folder: Path, output: Path) -> None:
    # here, because it takes seconds to import
    from dino.features.onnx_file import save_onnx

    size_px = read_folder(folder).image_size_px
    metadata = {
        "mean": _text(IMAGENET_MEAN),
        "std": _text(IMAGENET_STD),
        # one number for a square, else height and width
        "image_size_px": _text(size_px[:1] if size_px[0] == size_px[1] else size_px),
        "model_sha256": sha256_of_file(weights_file(folder)),
    }
    difference = save_onnx(output, load_for_one_size(folder), size_px, metadata)
    print(f"{output}: onnxruntime's features differ from torch's by {difference:.1e} at most")


def _text(numbers: Sequence[float]) -> str:
    return " ".join(map(str, numbers))
