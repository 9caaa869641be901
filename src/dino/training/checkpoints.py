"""The checkpoints that an interrupted training continues from; a damaged one is never used."""

import errno
import re
import sys
from pathlib import Path
from typing import Any

from dino.core.artifacts import drafting, publish, remove_drafts, sha256_of_file
from dino.core.errors import CheckpointError, DinoError
from dino.model.checkpoint import load_checkpoint, write_checkpoint

_CHECKSUM_DIGITS = 16
_NAME = re.compile(rf"(step|epoch)_(\d+)-([0-9a-f]{{{_CHECKSUM_DIGITS}}})\.pth")


class CheckpointFolder:
    """The newest checkpoints of one training, and its milestones in a folder below.

    `step_000000123-0123456789abcdef.pth` carries its step and the first digits of its SHA-256 in
    its name: one rename publishes both, and no second file can disagree. One process writes;
    those of other machines may load what it names.
    """

    def __init__(self, folder: Path, keep: int) -> None:
        """`keep`: how many of the newest stay. Nothing is read or written yet."""
        self.folder = folder
        self.milestones = folder / "milestones"
        self.keep = keep

    def save(self, step: int, content: dict[str, Any]) -> Path:
        """Write `content`, the state before `step`, and return its path; only `keep` are left.

        Raises `DinoError` when it cannot be written; the ones before are then still there.
        """
        path = _write(self.folder, f"step_{step:09d}", content)
        for old in _newest_first(self.folder)[self.keep :]:
            old.unlink(missing_ok=True)
        return path

    def milestone(self, epoch: int, content: dict[str, Any]) -> Path:
        """Write `content`, the state after `epoch` epochs, and return its path; it is kept."""
        return _write(self.milestones, f"epoch_{epoch:04d}", content)

    def newest(self) -> Path | None:
        """The newest checkpoint that is whole; None if there is none.

        Each damaged one is named in a line on stderr and renamed to `NAME.damaged`. The milestones
        are asked last, and only when a checkpoint was damaged: after a finished training they
        alone are left, and it can be run anew. For the process that writes, when it starts.
        """
        remove_drafts(self.folder)
        remove_drafts(self.milestones)
        checkpoints = _newest_first(self.folder)
        if not checkpoints:
            return None
        for path in checkpoints + _newest_first(self.milestones):
            try:
                self.load(path)
            except CheckpointError as error:
                aside = path.rename(path.with_name(f"{path.name}.damaged"))
                print(f"{error}; it is now {aside.name}, trying an older one", file=sys.stderr)
            else:
                return path
        print(f"{self.folder}: no checkpoint is whole; starting at step 0", file=sys.stderr)
        return None

    def load(self, path: Path) -> dict[str, Any]:
        """The content of one of this folder's files, on the processor.

        Raises `CheckpointError` when its bytes do not match the checksum in its name.
        """
        match = _NAME.fullmatch(path.name)
        assert match, path
        try:
            matches = sha256_of_file(path).startswith(match[3])
        except OSError as error:
            # a bad sector is damage; a missing permission is not, and an older file no answer
            if error.errno == errno.EIO:
                raise CheckpointError(f"{path}: damaged ({error.strerror})") from None
            raise DinoError(
                f"{path}: cannot be read ({error.strerror}); check its permissions"
            ) from None
        if not matches:
            raise CheckpointError(f"{path}: damaged (its bytes differ from its checksum)")
        return load_checkpoint(path)

    def clear(self) -> None:
        """Remove all but milestones and damaged files, after the training has finished."""
        for path in _newest_first(self.folder):
            path.unlink(missing_ok=True)
        if self.folder.is_dir() and not any(self.folder.iterdir()):
            self.folder.rmdir()


def _write(folder: Path, stem: str, content: dict[str, Any]) -> Path:
    with drafting(folder / f"{stem}.pth") as temporary:
        write_checkpoint(temporary, content)
        checksum = sha256_of_file(temporary)[:_CHECKSUM_DIGITS]
        path = folder / f"{stem}-{checksum}.pth"
        publish(temporary, path)
    return path


def _newest_first(folder: Path) -> list[Path]:
    """The checkpoints in `folder`; of one step, the one that was written last comes first."""
    found = [(_NAME.fullmatch(path.name), path) for path in folder.glob("*.pth")]
    keyed = [(int(match[2]), path.stat().st_mtime_ns, path) for match, path in found if match]
    return [path for *_, path in sorted(keyed, reverse=True)]
