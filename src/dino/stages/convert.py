"""convert: write a checkpoint or an exported teacher in another format."""

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch

from dino.core.artifacts import replacing, sha256_of_file
from dino.core.configuration.architecture import ArchitectureConfig, WeightsConfig
from dino.core.configuration.section import parse
from dino.core.errors import CheckpointError, ConfigurationError
from dino.data.normalisation import IMAGENET_MEAN, IMAGENET_STD
from dino.features.teacher import (
    WEIGHTS,
    exported_size_px,
    load_for_one_size,
    read_weights,
    save_backbone,
)
from dino.model.checkpoint import load_checkpoint
from dino.model.existing_teacher import existing_teacher
from dino.model.reference_checkpoint import (
    ReferenceCheckpoint,
    load_reference_checkpoint,
    save_reference_checkpoint,
    standard_architecture,
)


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
    if checkpoint.architecture is not None:
        return parse(ArchitectureConfig, checkpoint.architecture, "architecture")
    architecture = standard_architecture(checkpoint.teacher.backbone)
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
    weights = read_weights(folder / WEIGHTS)
    with replacing(output) as temporary, temporary.open("wb") as stream:
        torch.save(weights, stream)


def _onnx(folder: Path, output: Path) -> None:
    # here, because it takes seconds to import
    from dino.features.onnx_file import save_onnx

    size_px = exported_size_px(folder)
    metadata = {
        "mean": " ".join(map(str, IMAGENET_MEAN)),
        "std": " ".join(map(str, IMAGENET_STD)),
        "image_size_px": str(size_px),
        "model_sha256": sha256_of_file(folder / WEIGHTS),
    }
    difference = save_onnx(output, load_for_one_size(folder), size_px, metadata)
    print(f"{output}: onnxruntime's features differ from torch's by {difference:.1e} at most")
