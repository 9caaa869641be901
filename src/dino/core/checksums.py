"""Comparisons of files with the checksums that were noted when they were made."""

from pathlib import Path

from dino.core.errors import CheckpointError, DataError

_SHOWN = 12
"""The number of digits of a SHA-256 that an error shows."""


def ensure_same_network(features: Path, made_by: str, network: str) -> None:
    """Raise `DataError` unless the file `features` was made by the given network.

    `made_by` is the SHA-256 of the network that made it, `network` that of the one in use.
    """
    if made_by != network:
        raise DataError(
            f"{features}: made by another network ({made_by[:_SHOWN]}) than the one beside it "
            f"({network[:_SHOWN]}); `dvc checkout` restores a damaged one, or run "
            "`dino features` again"
        )


def ensure_as_made(path: Path, made: str, found: str, stage: str) -> None:
    """Raise `CheckpointError` unless `path` still has the SHA-256 that `stage` noted for it."""
    if found != made:
        raise CheckpointError(
            f"{path}: expected the SHA-256 {made[:_SHOWN]} of what `dino {stage}` wrote, got "
            f"{found[:_SHOWN]}; `dvc checkout` restores it, or run `dino {stage}` again"
        )
