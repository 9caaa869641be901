"""convert: write a checkpoint or an exported teacher in another format."""

import tempfile
from pathlib import Path
from typing import Any

import torch

from dino.core.artifacts import replacing, sha256_of_file
from dino.core.configuration.architecture import ArchitectureConfig
from dino.core.configuration.section import parse
from dino.core.errors import ConfigurationError
from dino.data.normalisation import IMAGENET_MEAN, IMAGENET_STD
from dino.features.teacher import (
    WEIGHTS,
    backbone_weights,
    exported_size_px,
    load_for_one_size,
    read_weights,
    save_backbone,
)
from dino.model.checkpoint import load_checkpoint
from dino.model.existing_teacher import pixel_statistics
from dino.model.reference_checkpoint import save_reference_checkpoint


def execute(source: Path, output: Path) -> None:
    """Write `output` in the format that its suffix asks for.

    A training checkpoint of this project becomes the reference's (.pth), its teacher ONNX (.onnx)
    or a folder that timm opens (no suffix); an exported folder becomes the reference's file with a
    backbone alone (.pth) or ONNX. Raises `ConfigurationError` for another suffix, and
    `CheckpointError` for a source that cannot be used.
    """
    folder = source.is_dir()
    known = (".pth", ".onnx") if folder else (".pth", ".onnx", "")
    if output.suffix not in known:
        raise ConfigurationError(
            f"{output}: expected a name that ends in {' or '.join(filter(None, known))}"
            + ("" if folder else ", or a folder's without a suffix")
        )
    if output.suffix == ".onnx":
        if folder:
            _onnx(source, output)
        else:
            with tempfile.TemporaryDirectory() as exported:
                _export(load_checkpoint(source), Path(exported))
                _onnx(Path(exported), output)
    elif output.suffix == "":
        _export(load_checkpoint(source), output)
    elif folder:
        weights = read_weights(source / WEIGHTS)
        with replacing(output) as temporary, temporary.open("wb") as stream:
            torch.save(weights, stream)
    else:
        save_reference_checkpoint(output, load_checkpoint(source))


def _export(checkpoint: dict[str, Any], folder: Path) -> None:
    architecture = parse(ArchitectureConfig, checkpoint["architecture"], "architecture")
    teacher = checkpoint["teacher"]
    save_backbone(folder, architecture, backbone_weights(teacher), pixel_statistics(teacher))


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
