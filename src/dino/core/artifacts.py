"""Reading and writing of files: a file is either whole or absent, and JSON is canonical."""

import errno
import hashlib
import json
import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dino.core.errors import DinoError
from dino.core.outputs import remove, replacing_output

_FULL_BYTES = 2**16


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when the block ends without an error.

    Raises `DinoError` when the folder cannot be written or the disk is full; what was at `path`
    before is then still there.
    """
    with drafting(path) as temporary:
        yield temporary
        publish(temporary, path)


@contextmanager
def drafting(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` for one file; what is there when the block ends is removed.

    So is what killed processes left there for the same path, which one process writes at a time.
    Raises `DinoError`, naming `path`, when the folder cannot be written or the disk is full.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_drafts(path.parent, path.name)
        yield temporary
    except OSError as error:
        raise _unwritable(path, error) from error
    except Exception as error:
        # libraries that write files wrap the system's error in types of their own
        if _is_full(path.parent):
            raise _unwritable(path, OSError(errno.ENOSPC, str(error))) from error
        raise
    finally:
        # missing_ok does not cover a parent that is a file
        if temporary.parent.is_dir():
            temporary.unlink(missing_ok=True)


def publish(temporary: Path, path: Path) -> None:
    """Rename `temporary` to `path`, both in one folder, so that it outlives a loss of power.

    The file reaches the disk before its name does, and the name before this returns. Who may read
    it is what the umask says.
    """
    temporary.chmod(_mode_of_a_new_file(temporary))
    with temporary.open("rb+") as stream:
        os.fsync(stream.fileno())
    temporary.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    except OSError as error:
        # some network file systems know no flushing of folders
        if error.errno != errno.EINVAL:
            raise
    finally:
        os.close(folder)


def _mode_of_a_new_file(beside: Path) -> int:
    """The permissions of a new file by the umask, or by the folder's own rules.

    Some libraries write to files of their own making, which nobody else may read.
    """
    name = beside.name.removesuffix(f".{os.getpid()}.tmp")
    new = beside.with_name(f"{name}.mode.{os.getpid()}.tmp")
    try:
        new.touch()
        return stat.S_IMODE(new.stat().st_mode)
    finally:
        new.unlink(missing_ok=True)


def remove_drafts(folder: Path, name: str = "*") -> None:
    """Remove the temporary files that killed processes left for files called `name`."""
    for path in folder.glob(f".{name}.*.tmp"):
        try:
            os.kill(int(path.name.split(".")[-2]), 0)
        except ProcessLookupError:
            remove(path)
        except PermissionError:
            continue  # another user's process, which lives


def _is_full(folder: Path) -> bool:
    return folder.is_dir() and shutil.disk_usage(folder).free < _FULL_BYTES


def _unwritable(path: Path, error: OSError) -> DinoError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DinoError(f"{path}: no space left on the disk; free some and run the command again")
    reason = error.strerror or str(error)
    return DinoError(f"{path}: cannot be written ({reason}); check the folder and its permissions")


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` atomically."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_folder(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write a folder that holds `contents`, by name, and nothing else.

    Raises `DinoError` when it cannot be written; what was there before is then still there.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        remove_drafts(folder.parent, folder.name)
        with replacing_output(folder) as draft:
            draft.mkdir()
            for name, content in contents.items():
                with (draft / name).open("wb") as stream:
                    stream.write(content)
                    stream.flush()
                    os.fsync(stream.fileno())
    except OSError as error:
        raise _unwritable(folder, error) from error


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON with sorted keys, so that equal values give equal bytes."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """The content of a JSON file; raises `DinoError` when it is missing or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DinoError(f"{path}: not found; run the stage that makes it") from None
    except OSError as error:
        raise DinoError(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError:
        raise DinoError(f"{path}: not valid JSON; delete it and run its stage again") from None


def sha256_of_file(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def fingerprint(value: Any) -> str:
    """The SHA-256 of a JSON-like value, in hexadecimal."""
    canonical = json.dumps(value, sort_keys=True, allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()
