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
    with _locked(_path(root, name), fcntl.LOCK_EX | fcntl.LOCK_NB):
        yield


@contextmanager
def while_idle(root: Path, name: str) -> Iterator[bool]:
    """Hold `work/locks/{name}` if no other process has it; whether that is so.

    Its file is neither made nor written. Not for a process that holds the lock already: it would
    lose it.
    """
    with while_unlocked(_path(root, name)) as idle:
        yield idle


@contextmanager
def while_unlocked(path: Path) -> Iterator[bool]:
    """As `while_idle`, for any file; a file that is not there is locked by nobody."""
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
    """Hold the lock as several processes may at once; `only_one` then refuses, and the reverse."""
    with _locked(_path(root, name), fcntl.LOCK_SH | fcntl.LOCK_NB):
        yield


@contextmanager
def waiting(root: Path, name: str) -> Iterator[None]:
    """As `only_one`, but wait until the other process has given the lock back."""
    with _locked(_path(root, name), fcntl.LOCK_EX):
        yield


@contextmanager
def locked_file(path: Path) -> Iterator[None]:
    """Hold the lock of a file of the caller's own, which is made; as `only_one` otherwise."""
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
