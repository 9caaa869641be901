"""clean: show what can be removed, and remove it."""

import json
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from dino.commands.leftovers import leftovers
from dino.core.configuration.parameters import read_parameters
from dino.core.errors import DinoError
from dino.core.locking import while_unlocked
from dino.core.paths import Project
from dino.core.yaml_file import read_yaml
from dino.launch.jobs import jobs_at_work
from dino.orchestration.bridge import Bridge

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def execute(root: Path, *, remove: bool) -> None:
    """Print the files that nothing needs any more, with their sizes; with `remove`, remove them.

    What git has, what params.yaml names, records and links to other places are never removed.
    Raises `DinoError` while something is computed here.
    """
    project = Project(root=root)
    parameters = read_parameters(project.parameters)
    _ensure_idle(root)
    Bridge(root).recover()
    found = list(leftovers(project, parameters))
    protected = _protected(root)
    staying = [leftover for leftover in found if _stays(leftover.path, protected)]
    going = [leftover for leftover in found if leftover not in staying]
    sizes = _sizes([leftover.path for leftover in going])
    for leftover in going:
        size, name = _text(sizes[leftover.path]), leftover.path.relative_to(root)
        print(f"{size:>10}  {name}: {leftover.what}; again: {leftover.again}")
        if remove:
            _remove(leftover.path)
    for leftover in staying:
        print(f"{'stays':>10}  {leftover.path.relative_to(root)}: git or params.yaml names it")
    total = _text(sum(sizes.values()))
    if not going:
        print("nothing to remove")
    else:
        print(f"{total} removed" if remove else f"{total} in all; `dino clean --yes` removes it")
    print("DVC's cache is cleaned by `dvc gc --workspace`, which keeps what dvc.lock names")


def _ensure_idle(root: Path) -> None:
    """Raise `DinoError` while a stage, an engine or a job works in this project."""
    busy = [path.name for path in _locks(root) if _is_locked(path)]
    writers = root / ".dvc" / "tmp" / "rwlock"
    if writers.is_file():
        entries = json.loads(writers.read_text(encoding="utf-8") or "{}")
        holders = [holder for kind in entries.values() for holder in _flat(kind)]
        busy += [holder["cmd"] for holder in holders if _lives(holder["pid"])]
    busy += [f"job {job.job_id}" for job in jobs_at_work(root)]
    if busy:
        raise DinoError(
            f"{', '.join(dict.fromkeys(busy))} is at work here; wait for it to end, then run the "
            "command again"
        )


def _locks(root: Path) -> Iterator[Path]:
    yield root / "work" / "kept" / "snakemake"
    yield from sorted((root / "work" / "locks").glob("*"))
    # of what `dino record` computes
    yield from sorted((root / "work" / "records").glob("*/work/locks/*"))


def _is_locked(path: Path) -> bool:
    with while_unlocked(path) as idle:
        return not idle


def _flat(kind: dict[str, Any]) -> list[dict[str, Any]]:
    """The processes of DVC's list: one for each file that is written, several for one read."""
    return [
        holder
        for holders in kind.values()
        for holder in (holders if isinstance(holders, list) else [holders])
    ]


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _protected(root: Path) -> list[Path]:
    """Every path that is a value in params.yaml: images, weights, where a training begins."""

    def texts(value: Any) -> Iterator[str]:
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict | list):
            for item in value.values() if isinstance(value, dict) else value:
                yield from texts(item)

    named = [root / text for text in texts(read_yaml(root / "params.yaml")) if text]
    return [path.resolve() for path in named if path.exists()]


def _stays(path: Path, protected: Iterable[Path]) -> bool:
    """Whether `path` is a link, or holds what git has or params.yaml names."""
    whole = path.resolve()
    if path.is_symlink() or any(
        whole.is_relative_to(other) or other.is_relative_to(whole) for other in protected
    ):
        return True
    command = ["git", "ls-files", "--", path.name]
    done = subprocess.run(command, cwd=path.parent, capture_output=True, text=True)
    return bool(done.stdout)


def _sizes(paths: Iterable[Path]) -> dict[Path, int]:
    """The bytes of the disk that each of `paths` gives back when all are removed.

    A file with several names counts once, and not at all where one of its names stays.
    """
    files = {path: [f for f in (path, *path.rglob("*")) if _is_file(f)] for path in paths}
    names = Counter(file.stat().st_ino for group in files.values() for file in group)
    counted: set[int] = set()
    sizes = {}
    for path, group in files.items():
        sizes[path] = 0
        for file in group:
            status = file.stat()
            if names[status.st_ino] == status.st_nlink and status.st_ino not in counted:
                counted.add(status.st_ino)
                sizes[path] += status.st_size
    return sizes


def _is_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _remove(path: Path) -> None:
    try:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise DinoError(f"{error.filename or path}: cannot be removed ({error.strerror})") from None


def _text(size: float) -> str:
    for unit in _UNITS:
        if size < 1024 or unit == _UNITS[-1]:
            break
        size /= 1024
    return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
