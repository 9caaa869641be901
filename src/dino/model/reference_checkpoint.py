"""Checkpoints in the format of the reference implementation: read without running code, written."""

import argparse
import re
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dino.core.artifacts import replacing
from dino.core.configuration.architecture import ArchitectureConfig
from dino.core.errors import CheckpointError
from dino.model.checkpoint import damage

# what a training checkpoint holds besides tensors: its options, and learning rates that the
# schedules left as numpy scalars
_ALLOWED = [
    argparse.Namespace,
    np._core.multiarray.scalar,  # type: ignore[attr-defined]
    np.dtype,
    np.dtypes.Float64DType,
]
_BACKBONE, _HEAD = "backbone.", "head."
_STANDARD_WIDTHS = {
    192: "vit_tiny_patch16_224",
    384: "vit_small_patch16_224",
    768: "vit_base_patch16_224",
}
_PATCH = re.compile(r"_patch(\d+)_\d+")

State = dict[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class ReferenceNetwork:
    """One network of a checkpoint, with the names that this project's modules have."""

    backbone: State
    head: State
    """Empty in a file that holds a backbone alone."""
    others: State = field(default_factory=dict)
    """What stands beside the two; in this project's own checkpoints alone."""


@dataclass(frozen=True, kw_only=True)
class ReferenceCheckpoint:
    """What can be used of a checkpoint; a backbone-only file has a teacher alone."""

    teacher: ReferenceNetwork
    student: ReferenceNetwork | None = None
    center: Tensor | None = None
    epoch: int | None = None
    """Number of finished epochs."""
    arguments: dict[str, Any] | None = None
    optimizer: dict[str, Any] | None = None
    architecture: dict[str, Any] | None = None
    """As `ArchitectureConfig` has it; in this project's own checkpoints alone."""


def load_reference_checkpoint(path: Path) -> ReferenceCheckpoint:
    """The networks in a full training checkpoint or in a file with a backbone's weights alone.

    This project's own checkpoints have the same parts under the same names and are read as well.
    Nothing but tensors, numbers, text and the types of an allow-list is unpickled. Raises
    `CheckpointError` when the file is missing, damaged or holds anything else.
    """
    try:
        with torch.serialization.safe_globals(_ALLOWED), warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise CheckpointError(f"{path}: not found") from None
    except (RuntimeError, OSError, EOFError, ValueError, KeyError, UnpicklingError) as error:
        raise CheckpointError(f"{path}: cannot be read as a checkpoint ({damage(error)})") from None
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: expected a dictionary, got {type(content).__name__}")
    if "teacher" not in content:
        return ReferenceCheckpoint(teacher=_network(content, path))
    arguments = content.get("args")
    center = content.get("dino_loss", content).get("center")
    return ReferenceCheckpoint(
        teacher=_network(content["teacher"], path),
        # a teacher that was not trained here has neither
        student=_network(content["student"], path) if content.get("student") else None,
        center=center if center is not None and center.numel() else None,
        epoch=content.get("epoch"),
        arguments=dict(vars(arguments)) if arguments is not None else None,
        optimizer=content.get("optimizer"),
        architecture=content.get("architecture"),
    )


def standard_architecture(backbone: State) -> ArchitectureConfig | None:
    """The one of the reference's vision transformers that has these weights; None for others.

    The number of heads shows in no shape: it is known for the reference's three widths alone.
    """
    positions, patches = backbone.get("pos_embed"), backbone.get("patch_embed.proj.weight")
    if positions is None or patches is None or positions.shape[-1] not in _STANDARD_WIDTHS:
        return None
    patch_px = patches.shape[-1]
    side = round((positions.shape[1] - 1) ** 0.5)
    return ArchitectureConfig(
        timm_name=_STANDARD_WIDTHS[positions.shape[-1]],
        image_size_px=side * patch_px,
        patch_size_px=patch_px,
    )


def save_reference_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write what `load_checkpoint` gave in the reference's format, atomically.

    Student, teacher, center, optimizer and the number of finished epochs, with the arguments that
    say how to build the networks. Raises `CheckpointError` for a student with a predictor, which
    the reference does not have.
    """
    architecture, head = content["architecture"], content["head"]
    if not head:
        raise CheckpointError(
            "expected a checkpoint of a training, got one of an architecture with weights, which "
            "has no student and no head; convert the folder artifacts/RUN/teacher instead"
        )
    if head["predictor"]:
        raise CheckpointError(
            "pretrain.head.predictor: expected false for the reference's format, which has no "
            "place for a predictor, got true"
        )
    patch = _PATCH.search(architecture["timm_name"])
    log = content["log"]
    converted = {
        # the reference wraps the student for several processes, the teacher not
        "student": {f"module.{name}": value for name, value in content["student"].items()},
        "teacher": content["teacher"],
        "optimizer": content["optimizer"],
        "epoch": int(log[-1]["epoch"]) if log else 0,
        "args": argparse.Namespace(
            arch=_PATCH.split(architecture["timm_name"])[0],
            patch_size=architecture["patch_size_px"] or (int(patch[1]) if patch else None),
            drop_path_rate=architecture["drop_path"],
            out_dim=head["out_dim"],
            norm_last_layer=head["norm_last_layer"],
            use_bn_in_head=head["batch_norm"],
            seed=content["seed"],
        ),
        "dino_loss": {"center": content["center"]},
    }
    if content["scaler"]:
        converted["fp16_scaler"] = content["scaler"]
    with replacing(path) as temporary, temporary.open("wb") as stream:
        torch.save(converted, stream)


def _network(state: State, path: Path) -> ReferenceNetwork:
    if not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise CheckpointError(f"{path}: expected the weights of a network, found something else")
    # DistributedDataParallel puts module. before every name
    names = {name.removeprefix("module."): value for name, value in state.items()}
    if not any(name.startswith(_BACKBONE) for name in names):
        return ReferenceNetwork(backbone=names, head={})
    return ReferenceNetwork(
        backbone=_below(_BACKBONE, names),
        head=_below(_HEAD, names),
        others={n: w for n, w in names.items() if not n.startswith((_BACKBONE, _HEAD))},
    )


def _below(prefix: str, state: State) -> State:
    return {
        name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)
    }
