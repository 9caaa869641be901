"""Checkpoints in the format of the reference implementation, read without running their code."""

import argparse
import warnings
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dino.core.errors import CheckpointError

# what a training checkpoint holds besides tensors: its options, and learning rates that the
# schedules left as numpy scalars
_ALLOWED = [
    argparse.Namespace,
    np._core.multiarray.scalar,  # type: ignore[attr-defined]
    np.dtype,
    np.dtypes.Float64DType,
]
_BACKBONE, _HEAD = "backbone.", "head."

State = dict[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class ReferenceNetwork:
    """One network of a checkpoint, with the names that this project's modules have."""

    backbone: State
    head: State
    """Empty in a file that holds a backbone alone."""


@dataclass(frozen=True, kw_only=True)
class ReferenceCheckpoint:
    """What can be used of a reference checkpoint; a backbone-only file has a teacher alone."""

    teacher: ReferenceNetwork
    student: ReferenceNetwork | None = None
    center: Tensor | None = None
    epoch: int | None = None
    """Number of finished epochs."""
    arguments: dict[str, Any] | None = None
    optimizer: dict[str, Any] | None = None


def load_reference_checkpoint(path: Path) -> ReferenceCheckpoint:
    """The networks in a full training checkpoint or in a file with a backbone's weights alone.

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
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(f"{path}: cannot be read as a checkpoint ({reason})") from None
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: expected a dictionary, got {type(content).__name__}")
    if "teacher" not in content:
        return ReferenceCheckpoint(teacher=_network(content, path))
    arguments = content.get("args")
    return ReferenceCheckpoint(
        teacher=_network(content["teacher"], path),
        student=_network(content["student"], path) if "student" in content else None,
        center=content.get("dino_loss", {}).get("center"),
        epoch=content.get("epoch"),
        arguments=dict(vars(arguments)) if arguments is not None else None,
        optimizer=content.get("optimizer"),
    )


def _network(state: State, path: Path) -> ReferenceNetwork:
    if not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise CheckpointError(f"{path}: expected the weights of a network, found something else")
    # DistributedDataParallel puts module. before every name
    names = {name.removeprefix("module."): value for name, value in state.items()}
    if not any(name.startswith(_BACKBONE) for name in names):
        return ReferenceNetwork(backbone=names, head={})
    return ReferenceNetwork(backbone=_below(_BACKBONE, names), head=_below(_HEAD, names))


def _below(prefix: str, state: State) -> State:
    return {
        name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)
    }
