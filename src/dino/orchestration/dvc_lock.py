"""The outputs that dvc.lock names, and the places besides the workspace where they are found."""

import hashlib
import json
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import yaml

from dino.core.outputs import files_of

Content = Path | bytes | Mapping[str, bytes]
"""An existing file or folder, a file's bytes, or the bytes of a folder's files by name."""
_FOLDER = ".dir"
"""The end of DVC's checksums of folders."""


def has_dvc(root: Path) -> bool:
    """Whether the project at `root` is one that DVC can be asked about."""
    return (root / ".dvc").is_dir() and (root / ".git").exists()


def lock_entry(root: Path, step: str) -> str:
    """The lines of dvc.lock on the step that DVC calls `step`, "" where there are none."""
    lock = root / "dvc.lock"
    text = lock.read_text(encoding="utf-8") if lock.is_file() else ""
    # cut out of the text: to parse all of it takes seconds where there are many runs
    found = re.search(rf"^  {re.escape(step)}:\n((?:    .*\n)*)", text, re.MULTILINE)
    return found[0] if found else ""


def recorded_md5(entry: str) -> dict[str, str]:
    """The checksum of each output, from the lines of dvc.lock that `lock_entry` gives."""
    (content,) = (yaml.safe_load(entry) or {"": {}}).values()
    return {out["path"]: out["md5"] for out in content.get("outs", []) if "md5" in out}


def cached_file(root: Path, md5: str) -> Path | None:
    """The file of DVC's cache with the checksum `md5`; None if it has none."""
    from dvc.repo import Repo

    if md5.endswith(_FOLDER):
        return None  # the folders that stages write are in git
    with Repo(str(root)) as repo:
        path = Path(repo.cache.local.oid_to_path(md5))
    return path if path.is_file() else None


def committed_content(root: Path, path: str, md5: str) -> Content | None:
    """The content of `path` in git's last commit; None if its checksum is not `md5`."""
    if not md5.endswith(_FOLDER):
        content = _show(root, path)
        return content if content is not None and hashlib.md5(content).hexdigest() == md5 else None
    listed = _git(root, "ls-tree", "-r", "-z", "--name-only", "HEAD", f"./{path}/") or b""
    names = [PurePosixPath(name).relative_to(path) for name in listed.decode().split("\0") if name]
    contents = {str(name): _show(root, f"{path}/{name}") or b"" for name in names}
    checksums = {name: hashlib.md5(content).hexdigest() for name, content in contents.items()}
    return contents if _folder_md5(checksums) == md5 else None


def has_md5(output: Path, md5: str) -> bool:
    """Whether the content of a file or a folder has the checksum `md5`."""
    if not output.is_dir():
        return _md5(output) == md5
    files = {path.relative_to(output).as_posix(): _md5(path) for path in files_of(output)}
    return _folder_md5(files) == md5


def _md5(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "md5").hexdigest()


def _folder_md5(checksums: Mapping[str, str]) -> str:
    """The checksum of a folder as DVC computes it from those of its files, by name."""
    entries = [{"md5": checksums[name], "relpath": name} for name in sorted(checksums)]
    return hashlib.md5(json.dumps(entries, sort_keys=True).encode()).hexdigest() + _FOLDER


def _show(root: Path, path: str) -> bytes | None:
    return _git(root, "show", f"HEAD:./{path}")


def _git(root: Path, *arguments: str) -> bytes | None:
    done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True)
    return done.stdout if done.returncode == 0 else None
