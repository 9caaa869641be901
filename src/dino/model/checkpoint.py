"""A training checkpoint: everything that the next step depends on, in one file without pickle."""

import sys
import warnings
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from dino.core.artifacts import replacing
from dino.core.errors import CheckpointError

FORMAT = 1
KEYS = {
    "format",
    "fingerprint",
    "architecture",
    "seed",
    "student",
    "teacher",
    "optimizer",
    "center",
    "step",
    "log",
    "measured",
}


def save_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write `content` (KEYS without `format`) to `path` atomically; equal content, equal bytes."""
    with replacing(path) as temporary, temporary.open("wb") as stream:
        # a stream and not a path: torch writes the file's name into the archive
        torch.save(_canonical({"format": FORMAT, **content}), stream)


def _canonical(value: Any) -> Any:
    """`value` rebuilt so that equal values share no or the same objects.

    Pickle writes an object that it has met before as a reference to it, so that a value that was
    loaded and one that was computed differ in bytes where they share objects differently.
    """
    if isinstance(value, dict):
        return {_canonical(key): _canonical(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)([_canonical(item) for item in value])
    return sys.intern(value) if type(value) is str else value


def load_checkpoint(path: Path) -> dict[str, Any]:
    """The content of a checkpoint, on the processor, read without unpickling code.

    Raises `CheckpointError` when the file is missing, damaged or of another kind.
    """
    try:
        with warnings.catch_warnings():
            # of pickle protocols that torch does not write: they end in the error below
            warnings.simplefilter("ignore", UserWarning)
            content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise CheckpointError(f"{path}: not found; run `dino pretrain`") from None
    # torch reports a damaged archive as any of these
    except (RuntimeError, OSError, EOFError, ValueError, KeyError, UnpicklingError) as error:
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(
            f"{path}: cannot be read as a checkpoint ({reason}); delete it and run "
            "`dino pretrain` again"
        ) from None
    if not isinstance(content, dict) or set(content) != KEYS or content["format"] != FORMAT:
        raise CheckpointError(
            f"{path}: expected a checkpoint of format {FORMAT} with {', '.join(sorted(KEYS))}"
        )
    return content
