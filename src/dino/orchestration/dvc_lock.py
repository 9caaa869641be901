"""What dvc.lock says of a step's outputs, and where else than in the workspace they can be had."""

import hashlib
import re
import subprocess
from pathlib import Path

import yaml


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
    """Output: the checksum of its content, by the lines of dvc.lock that `lock_entry` gives."""
    (content,) = (yaml.safe_load(entry) or {"": {}}).values()
    return {out["path"]: out["md5"] for out in content.get("outs", []) if "md5" in out}


def cached_file(root: Path, md5: str) -> Path | None:
    """The file of DVC's cache with the checksum `md5`, None where it has none."""
    from dvc.repo import Repo

    with Repo(str(root)) as repo:
        path = Path(repo.cache.local.oid_to_path(md5))
    return path if path.is_file() else None


def committed_content(root: Path, path: str, md5: str) -> bytes | None:
    """The content of `path` in git's last commit, None where its checksum is not `md5`."""
    done = subprocess.run(["git", "-C", str(root), "show", f"HEAD:./{path}"], capture_output=True)
    same = done.returncode == 0 and hashlib.md5(done.stdout).hexdigest() == md5
    return done.stdout if same else None


def has_md5(path: Path, md5: str) -> bool:
    """Whether the content of the file `path` has the checksum `md5`."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "md5").hexdigest() == md5
