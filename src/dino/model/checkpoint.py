"""A training checkpoint: everything that the next step depends on, in one file without pickle."""

import re
import sys
import warnings
from pathlib import Path
from typing import Any

import torch

from dino.core.artifacts import replacing
from dino.core.errors import CheckpointError

# torch's name for what it would have to import
_REFUSED = re.compile(r"GLOBAL ([\w.]+)")
FORMAT = 2
KEYS = {
    "format",
    # what it belongs to
    "fingerprint",
    "architecture",
    "head",
    "seed",
    # what was learnt
    "student",
    "teacher",
    "center",
    # where the training stands
    "optimizer",
    "scaler",
    "step",
    "skipped",
    # what was measured of it
    "log",
    "measured",
}


def save_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write `content` (KEYS without `format`) to `path` atomically; equal content, equal bytes."""
    with replacing(path) as temporary:
        write_checkpoint(temporary, content)


def write_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write what `save_checkpoint` writes, but not atomically: for a file that is published later.

    Raises `OSError` when the disk refuses it.
    """
    # what could not be read again would show only after a crash
    assert set(content) == KEYS - {"format"}, set(content) ^ KEYS
    # a stream and not a path: torch writes the file's name into the archive
    with path.open("wb") as stream:
        try:
            torch.save(_canonical({"format": FORMAT, **content}), stream)
        except RuntimeError as error:
            # torch hides the system's error behind one about its own position in the file
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise


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
    except Exception as error:
        # the reader raises errors of any type for files that are no checkpoint
        raise CheckpointError(
            f"{path}: cannot be read as a checkpoint ({damage(error)}); delete it and run "
            "`dino pretrain` again"
        ) from None
    if not isinstance(content, dict) or set(content) != KEYS or content["format"] != FORMAT:
        raise CheckpointError(
            f"{path}: expected a checkpoint of format {FORMAT} with {', '.join(sorted(KEYS))}"
        )
    return content


def damage(error: Exception) -> str:
    """One short line about a file, from the `error` that reading it as a checkpoint raised.

    Torch's own words advise to run whatever the file holds.
    """
    refused = _REFUSED.search(str(error))
    if refused:
        return f"it holds {refused[1]}, and nothing but tensors and plain values is read"
    if isinstance(error, OSError) and error.filename is not None:
        return str(error.strerror)
    return "it is damaged, or no archive of tensors and plain values"
