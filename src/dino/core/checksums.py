"""Files that were noted to be by a network or a stage, held against what is there now."""

from pathlib import Path

from dino.core.errors import CheckpointError, DataError

_SHOWN = 12
"""Digits of a SHA-256 that an error shows."""


def ensure_same_network(features: Path, made_by: str, network: str) -> None:
    """Raise `DataError` unless the file `features`, made by the network with the SHA-256
    `made_by`, may be combined with the one of the SHA-256 `network`.
    """
    if made_by != network:
        raise DataError(
            f"{features}: made by another network ({made_by[:_SHOWN]}) than the one beside it "
            f"({network[:_SHOWN]}); `dvc checkout` restores a damaged one, or run "
            "`dino features` again"
        )


def ensure_as_made(path: Path, made: str, found: str, stage: str) -> None:
    """Raise `CheckpointError` unless `path` has the SHA-256 that `stage` noted when it made it."""
    if found != made:
        raise CheckpointError(
            f"{path}: expected the SHA-256 {made[:_SHOWN]} of what `dino {stage}` wrote, got "
            f"{found[:_SHOWN]}; `dvc checkout` restores it, or run `dino {stage}` again"
        )
