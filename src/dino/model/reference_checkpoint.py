"""Checkpoints in the format of the reference implementation: read without running code, written."""

import argparse
import math
import re
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from torch import Tensor

from dino.core.artifacts import replacing
from dino.core.configuration.architecture import ArchitectureConfig
from dino.core.configuration.section import parse
from dino.core.errors import CheckpointError
from dino.model.checkpoint import damage
from dino.model.weights import as_float32, ensure_finite

_SCALAR = np._core.multiarray.scalar  # type: ignore[attr-defined]
# what a training checkpoint holds besides tensors: its options, and learning rates that the
# schedules left as numpy scalars
_ALLOWED = [
    argparse.Namespace,
    _SCALAR,
    # as numpy 1 called it, with which the reference's published files were written
    (_SCALAR, "numpy.core.multiarray.scalar"),
    np.dtype,
    np.dtypes.Float64DType,
    np.dtypes.Float32DType,
    np.dtypes.Int64DType,
]
_BACKBONES, _HEAD = ("backbone.", "encoder."), "head."
_NESTED = ("state_dict", "model", "model_state_dict")
"""Names under which other programs keep a network's weights."""
_WRAPPERS = {"module", "_orig_mod"}
"""Parts of names that DistributedDataParallel and torch.compile add."""
_LAST_LAYER = {
    "last_layer.parametrizations.weight.original0": "last_layer.weight_g",
    "last_layer.parametrizations.weight.original1": "last_layer.weight_v",
}
"""Names of torch's newer weight norm, and the reference's."""
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
    """Further entries beside the two, which only this project's checkpoints have."""


@dataclass(frozen=True, kw_only=True)
class ReferenceCheckpoint:
    """The usable content of a checkpoint; a file with a backbone alone has only a teacher."""

    teacher: ReferenceNetwork
    student: ReferenceNetwork | None = None
    center: Tensor | None = None
    epoch: int | None = None
    """Number of finished epochs."""
    arguments: dict[str, Any] | None = None
    optimizer: dict[str, Any] | None = None
    architecture: dict[str, Any] | None = None
    """The values of `ArchitectureConfig`, which only this project's checkpoints have."""


def load_reference_checkpoint(path: Path) -> ReferenceCheckpoint:
    """The networks in a full training checkpoint or in a file with a backbone's weights alone.

    This project's own checkpoints have the same parts under the same names and are read as well.
    Weights are in float32. Nothing but tensors, numbers, text and the types of an allow-list is
    unpickled. Raises `CheckpointError` when the file is missing, damaged, holds anything else, or
    holds weights that are NaN or infinite.
    """
    content = _content(path)
    if not {"teacher", "student"} & set(content):
        teacher, student = _network(content, path), None
    else:
        if not content.get("teacher"):
            raise CheckpointError(f"{path}: expected a teacher beside the student, got none")
        teacher = _network(content["teacher"], path)
        # a teacher that was not trained here has none
        student = _network(content["student"], path) if content.get("student") else None
    return ReferenceCheckpoint(
        teacher=teacher,
        student=student,
        center=_center(content, path),
        epoch=content.get("epoch"),
        arguments=_arguments(content.get("args")),
        optimizer=content.get("optimizer"),
        architecture=content.get("architecture"),
    )


def _content(path: Path) -> dict[Any, Any]:
    try:
        with torch.serialization.safe_globals(_ALLOWED), warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise CheckpointError(f"{path}: not found") from None
    except Exception as error:
        # the reader raises errors of any type for files that are no checkpoint
        raise CheckpointError(f"{path}: cannot be read as a checkpoint ({damage(error)})") from None
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: expected a dictionary, got {type(content).__name__}")
    return content


def _center(content: dict[Any, Any], path: Path) -> Tensor | None:
    """The reference keeps it with its loss, this project beside the networks."""
    loss = content.get("dino_loss")
    center = (loss if isinstance(loss, dict) else content).get("center")
    if not isinstance(center, Tensor) or not center.numel():
        return None
    ensure_finite({"center": center}, path)
    return center


def _arguments(options: Any) -> dict[str, Any] | None:
    """The options of a training, which programs keep in either of two ways."""
    if isinstance(options, argparse.Namespace):
        return dict(vars(options))
    return {str(k): v for k, v in options.items()} if isinstance(options, dict) else None


def architecture_of(checkpoint: ReferenceCheckpoint, path: Path) -> ArchitectureConfig | None:
    """The architecture of a checkpoint's backbone, by its own record, its shapes or its arguments.

    None where neither tells, or timm does not know the name.
    """
    if checkpoint.architecture is not None:
        return parse(ArchitectureConfig, checkpoint.architecture, f"{path}: architecture")
    if "pos_embed" in checkpoint.teacher.backbone:
        return standard_architecture(checkpoint.teacher.backbone)
    name = str((checkpoint.arguments or {}).get("arch", ""))
    return ArchitectureConfig(timm_name=name) if timm.is_model(name) else None


def standard_architecture(backbone: State) -> ArchitectureConfig | None:
    """The one of the reference's vision transformers that has these weights; None for others.

    The number of heads shows in no shape: it is known for the reference's three widths alone.
    The positions are those of a square, as all of the reference's are.
    """
    positions, patches = backbone.get("pos_embed"), backbone.get("patch_embed.proj.weight")
    if positions is None or patches is None or positions.shape[-1] not in _STANDARD_WIDTHS:
        return None
    side = math.isqrt(positions.shape[1] - 1)
    height_px, width_px = patches.shape[-2:]
    if side * side != positions.shape[1] - 1 or height_px != width_px:
        return None
    return ArchitectureConfig(
        timm_name=_STANDARD_WIDTHS[positions.shape[-1]],
        image_size_px=side * width_px,
        patch_size_px=width_px,
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


def _network(state: Any, path: Path) -> ReferenceNetwork:
    while isinstance(state, dict) and (
        inner := next((name for name in _NESTED if isinstance(state.get(name), dict)), None)
    ):
        state = state[inner]
    if not isinstance(state, dict) or not state:
        raise CheckpointError(f"{path}: expected the weights of a network, found something else")
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise CheckpointError(
                f"{path}: expected the weights of a network, found a {type(value).__name__} "
                f"called {name}"
            )
    names = as_float32({_unwrapped(name): value for name, value in state.items()})
    ensure_finite(names, path)
    for prefix in _BACKBONES:
        if any(name.startswith(prefix) for name in names):
            head = _below(_HEAD, names)
            return ReferenceNetwork(
                backbone=_below(prefix, names),
                head={_LAST_LAYER.get(name, name): value for name, value in head.items()},
                others={n: w for n, w in names.items() if not n.startswith((prefix, _HEAD))},
            )
    return ReferenceNetwork(backbone=names, head={})


def _unwrapped(name: str) -> str:
    """`name` without what DistributedDataParallel and torch.compile put before it."""
    parts = name.split(".")
    while parts[0] in _WRAPPERS and len(parts) > 1:
        del parts[0]
    return ".".join(part for part in parts if part != "_orig_mod")


def _below(prefix: str, state: State) -> State:
    return {
        name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)
    }
