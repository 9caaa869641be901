"""One process at a time for one piece of work: Snakemake's and DVC's locks ignore each other."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dino.core.errors import DinoError


@contextmanager
def only_one(root: Path, name: str) -> Iterator[None]:
    """Hold the lock `work/locks/{name}`; raises `DinoError` when another process has it.

    Not for two threads of one process, which share its locks.
    """
    with _locked(root, name, fcntl.LOCK_EX | fcntl.LOCK_NB):
        yield


@contextmanager
def waiting(root: Path, name: str) -> Iterator[None]:
    """As `only_one`, but wait until the other process has given the lock back."""
    with _locked(root, name, fcntl.LOCK_EX):
        yield


@contextmanager
def _locked(root: Path, name: str, kind: int) -> Iterator[None]:
    path = root / "work" / "locks" / name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        stream = path.open("w")
    except OSError as error:
        raise DinoError(f"{path}: cannot be written ({error.strerror})") from error
    with stream:
        try:
            # a record lock, which forked processes do not inherit: the workers of a loader live
            # on for seconds when their parent was killed, and hold nothing that it would miss
            fcntl.lockf(stream, kind)
        except (BlockingIOError, PermissionError):
            raise DinoError(
                f"another process is running this already ({path} is locked); "
                "wait for it to end, then run the command again"
            ) from None
        except OSError as error:
            raise DinoError(
                f"{path}: cannot be locked ({error.strerror}); the file system of the checkout "
                "has to know locks (flock, fcntl): ask the admin, or move the checkout"
            ) from None
        yield
