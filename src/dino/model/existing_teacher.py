"""A teacher that was trained elsewhere: weights for an architecture, wherever they come from."""

import hashlib
import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import timm
import torch
from timm.models.xcit import Xcit
from timm.models.xcit import checkpoint_filter_fn as timm_names_of_xcit
from torch import Tensor, nn

from dino.core.artifacts import sha256_of_file
from dino.core.configuration.architecture import ArchitectureConfig, WeightsConfig
from dino.core.errors import CheckpointError, ConfigurationError
from dino.core.provenance import plain
from dino.core.seeding import seeded
from dino.model.backbone import build_backbone
from dino.model.reference_checkpoint import load_reference_checkpoint
from dino.model.timm_folder import (
    PixelStatistics,
    pixels_of,
    read_folder,
    read_weights,
    weights_file,
)
from dino.model.weights import ensure_finite, misfit, without_classifier

_PIXELS = "pixels."
_SIZES = ("patch_size", "embed_dim", "depth", "num_heads")
_POOLING = "global_pool"


@dataclass(frozen=True, kw_only=True)
class ExistingTeacher:
    """A backbone's weights that fit its architecture, in float32."""

    weights: dict[str, Tensor]
    pixels: PixelStatistics | None
    """None: as this project and the reference normalise, and all of the image."""
    sha256: str
    """Checksum of the file; of the weights themselves where they come from timm."""


@dataclass(frozen=True, kw_only=True)
class _Found:
    weights: dict[str, Tensor]
    sizes: dict[str, Any]
    """The values of `_SIZES` and `_POOLING` that the source names."""
    sha256: str
    pixels: PixelStatistics | None = None


def existing_teacher(architecture: ArchitectureConfig) -> ExistingTeacher:
    """The teacher that `architecture.weights` names.

    Nothing but tensors, numbers, text and an allow-list of types is unpickled. Raises
    `CheckpointError` when it is missing, damaged, or does not fit `architecture`: then the first
    name that does not fit is given. Raises `ConfigurationError` for pretrained weights that timm
    does not know or cannot fetch.
    """
    config = architecture.weights
    assert config is not None
    if config.file is not None:
        found = _in_file(Path(config.file), config)
    elif config.folder is not None:
        found = _in_folder(Path(config.folder), architecture)
    else:
        found = _in_timm(str(config.timm))
    config.check_sha256(found.sha256)
    with seeded(0):
        backbone = build_backbone(architecture)
    return ExistingTeacher(
        weights=_fitting(found, backbone, architecture, config.source),
        pixels=found.pixels,
        sha256=found.sha256,
    )


def checkpoint_of(
    teacher: ExistingTeacher, architecture: ArchitectureConfig, seed: int
) -> dict[str, Any]:
    """The content for `save_checkpoint` of a training of zero steps, whose teacher is `teacher`."""
    pixels = teacher.pixels
    statistics = {} if pixels is None else {
        f"{_PIXELS}{name}": torch.tensor(value, dtype=torch.float64)
        for name, value in plain(pixels).items()
    }  # fmt: skip
    backbone = {f"backbone.{name}": tensor for name, tensor in teacher.weights.items()}
    return {
        "fingerprint": teacher.sha256,
        "architecture": plain(architecture),
        "head": {},
        "seed": seed,
        "student": {},
        "teacher": {**backbone, **statistics},
        "optimizer": {},
        "scaler": {},
        "center": torch.zeros(1, 0),
        "step": 0,
        "skipped": 0,
        "log": [],
        "measured": torch.empty(0),
    }


def pixel_statistics(network: dict[str, Tensor]) -> PixelStatistics | None:
    """The statistics that `checkpoint_of` stores beside a teacher's weights; None if it did not."""
    if f"{_PIXELS}mean" not in network:
        return None
    return PixelStatistics(
        mean=tuple(network[f"{_PIXELS}mean"].tolist()),
        std=tuple(network[f"{_PIXELS}std"].tolist()),
        crop_share=network[f"{_PIXELS}crop_share"].item(),
    )


def ensure_unchanged(config: WeightsConfig, sha256: str) -> None:
    """Raise `CheckpointError` when the file that `config` names is no longer that of `sha256`.

    A file that is gone does not count as changed.
    """
    if config.file is not None:
        named = Path(config.file)
    elif config.folder is not None and Path(config.folder).is_dir():
        named = weights_file(Path(config.folder))
    else:
        return
    if named.is_file() and sha256_of_file(named) != sha256:
        raise CheckpointError(
            f"{named}: changed since `dino pretrain` read it; run `dino pretrain` again"
        )


def _in_file(path: Path, config: WeightsConfig) -> _Found:
    checkpoint = load_reference_checkpoint(path)
    if config.network == "student":
        if checkpoint.student is None or not checkpoint.student.backbone:
            raise CheckpointError(
                f"{path}: expected a training checkpoint with a student, got one without; "
                "set weights.network to teacher"
            )
        network = checkpoint.student
    else:
        network = checkpoint.teacher
    sizes = dict(checkpoint.architecture or {})
    if checkpoint.arguments is not None:
        sizes["patch_size"] = checkpoint.arguments.get("patch_size")
    sizes["patch_size"] = sizes.get("patch_size_px", sizes.get("patch_size"))
    return _Found(
        weights=network.backbone,
        sizes=sizes,
        sha256=sha256_of_file(path),
        pixels=pixel_statistics(checkpoint.teacher.others),
    )


def _in_folder(folder: Path, architecture: ArchitectureConfig) -> _Found:
    described = read_folder(folder)
    if described.architecture != architecture.timm_name.split(".")[0]:
        raise CheckpointError(
            f"{described.config}: expected the architecture {architecture.timm_name} of "
            f"architectures.*.timm_name, got {described.architecture}"
        )
    height_px, width_px = described.image_size_px
    if height_px != width_px:
        raise CheckpointError(
            f"{described.config}: expected a network for square images, as the evaluations show "
            f"them, got one for {height_px} x {width_px} px; `dino features --teacher` takes it"
        )
    weights = weights_file(folder)
    sizes = {name: described.arguments.get(name) for name in (*_SIZES, _POOLING)}
    if isinstance(sizes["patch_size"], list) and len(set(sizes["patch_size"])) == 1:
        sizes["patch_size"] = sizes["patch_size"][0]
    return _Found(
        weights=read_weights(weights),
        sizes=sizes,
        sha256=sha256_of_file(weights),
        pixels=described.pixels,
    )


def _in_timm(name: str) -> _Found:
    if not timm.is_model_pretrained(name):
        raise ConfigurationError(
            f"weights.timm: expected a model with pretrained weights, got {name}; "
            "timm.list_pretrained() lists them"
        )
    # what it says of every attempt ends in the error below
    logger = logging.getLogger("huggingface_hub")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        backbone: Any = timm.create_model(name, pretrained=True, num_classes=0)
    except Exception as error:
        # the hub's client has a type for each way in which a network can fail
        reason = " ".join(str(error).split())[:160]
        raise ConfigurationError(
            f"weights.timm: {name} cannot be fetched ({reason}); connect to the hub, or put a "
            "folder with its config.json and model.safetensors into weights.folder"
        ) from None
    finally:
        logger.setLevel(level)
    weights = backbone.state_dict()
    ensure_finite(weights, f"timm's {name}")
    return _Found(
        weights=weights,
        sizes={},
        sha256=_sha256_of_weights(weights),
        pixels=pixels_of(backbone.pretrained_cfg),
    )


def _fitting(
    found: _Found, backbone: nn.Module, architecture: ArchitectureConfig, source: str
) -> dict[str, Tensor]:
    """The weights of `found` in the order of `backbone`'s; raises `CheckpointError` otherwise."""
    expected = backbone.state_dict()
    weights = found.weights
    if isinstance(backbone, Xcit):
        # its authors' names, which the reference's files have, are not timm's
        weights = timm_names_of_xcit(dict(weights), backbone)
    weights = without_classifier(weights, backbone)
    problem = (
        misfit(weights, backbone)
        or _other_size(found.sizes, architecture)
        or _other_pooling(found.sizes, backbone)
    )
    if problem is not None:
        raise CheckpointError(
            f"{source}: does not fit the run's architecture {architecture.timm_name}: {problem}; "
            "make architectures in params.yaml say what it was trained with"
        )
    return {
        name: weights[name].to(tensor.dtype).clone(memory_format=torch.contiguous_format)
        for name, tensor in expected.items()
    }


def _other_size(sizes: dict[str, Any], architecture: ArchitectureConfig) -> str | None:
    """A text about the first other size that no shape shows, such as the number of heads."""
    wanted = {**plain(architecture), "patch_size": architecture.patch_px}
    for name in _SIZES:
        got, value = sizes.get(name), wanted[name]
        if None not in (got, value) and got != value:
            return f"expected {name} {value}, got {got}"
    return None


def _other_pooling(sizes: dict[str, Any], backbone: nn.Module) -> str | None:
    """A text about another choice of the feature's token, which no shape or size shows."""
    got, wanted = sizes.get(_POOLING), getattr(backbone, _POOLING, None)
    if not (isinstance(got, str) and isinstance(wanted, str)) or got == wanted:
        return None
    return f"expected {_POOLING} {wanted}, got {got}"


def _sha256_of_weights(weights: dict[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name, tensor in weights.items():
        digest.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()
