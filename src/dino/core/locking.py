"""Locks for work that one process at a time may do; Snakemake and DVC ignore each other's locks."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dino.core.errors import DinoError


@contextmanager
def only_one(root: Path, name: str) -> Iterator[None]:
    """Hold the lock `work/locks/{name}`; raises `DinoError` when another process has it.

    Two threads of one process share its locks, so the lock does not keep them apart.
    """
    with _locked(_path(root, name), fcntl.LOCK_EX | fcntl.LOCK_NB):
        yield


@contextmanager
def while_idle(root: Path, name: str) -> Iterator[bool]:
    """Hold `work/locks/{name}` unless another process has it; yields whether it is held.

    The lock's file is neither made nor written. A process that already holds the lock must not
    call this, because it would lose it.
    """
    with while_unlocked(_path(root, name)) as idle:
        yield idle


@contextmanager
def while_unlocked(path: Path) -> Iterator[bool]:
    """Do what `while_idle` does, for any file; a missing file counts as not locked."""
    try:
        stream = path.open("a") if path.is_file() else None
    except OSError:
        stream = None
    if stream is None:
        yield True
        return
    with stream:
        try:
            fcntl.lockf(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
            return
        yield True


@contextmanager
def one_of_several(root: Path, name: str) -> Iterator[None]:
    """Hold a lock that several processes can share; `only_one` excludes it, and it `only_one`."""
    with _locked(_path(root, name), fcntl.LOCK_SH | fcntl.LOCK_NB):
        yield


@contextmanager
def waiting(root: Path, name: str) -> Iterator[None]:
    """Hold the lock that `only_one` holds, after waiting for the process that has it."""
    with _locked(_path(root, name), fcntl.LOCK_EX):
        yield


@contextmanager
def locked_file(path: Path) -> Iterator[None]:
    """Hold the lock of the file `path`, which is created; raises what `only_one` raises."""
    with _locked(path, fcntl.LOCK_EX | fcntl.LOCK_NB):
        yield


def _path(root: Path, name: str) -> Path:
    return root / "work" / "locks" / name


@contextmanager
def _locked(path: Path, kind: int) -> Iterator[None]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        stream = path.open("w+")
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
