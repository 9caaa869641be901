"""What a result was made from: parameters, code, packages, machine and time."""

import dataclasses
import os
import platform
import resource
import subprocess
import sys
import time
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from dino.core.artifacts import read_json

SNAPSHOT = "snapshot.json"
"""In a copy of the project that a job works in: what was said here when the copy was made."""
PACKAGES = ("torch", "timm", "numpy", "pillow", "scikit-learn", "pandas")


class Stopwatch:
    """Wall time since its construction."""

    def __init__(self) -> None:
        self.started_at = datetime.now(UTC)
        self._start = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._start


def provenance(
    stage: str,
    parameters: dict[str, Any],
    root: Path,
    stopwatch: Stopwatch,
    *,
    data: str | None,
    seed: int | None,
    precision: str | None,
    **more: Any,
) -> dict[str, Any]:
    """A record of one execution of `stage`, as JSON-like values.

    `parameters` maps section names to the frozen sections (or plain values) that were used;
    `data` is the data set's fingerprint, None for a stage that reads none; `seed` that of the run
    or, of a stage that all runs share, its section's, None without one; `precision` that of its
    arithmetic, None for a stage that only moves and describes files; `more` is what only the
    stage knows, such as checksums.
    """
    return {
        "stage": stage,
        "parameters": {name: plain(value) for name, value in parameters.items()},
        "data": data,
        "seed": seed,
        "precision": precision,
        "git": git_state(root),
        "packages": {name: metadata.version(name) for name in PACKAGES},
        "python": platform.python_version(),
        "machine": {
            "host": platform.node(),
            "system": f"{platform.system()} {platform.machine()}",
            "processor": processor_name(),
            "cores": os.cpu_count(),
        },
        "slurm_job": os.environ.get("SLURM_JOB_ID"),
        "command": " ".join(["dino", *sys.argv[1:]]),
        "started_at": stopwatch.started_at.isoformat(timespec="seconds"),
        "wall_seconds": round(stopwatch.seconds, 1),
        **_peak_memory_mib(),
        **more,
    }


def _peak_memory_mib() -> dict[str, int | None]:
    """The most that this process has held so far, in main memory and on its GPU."""
    # ru_maxrss counts KiB; core imports no torch, and a stage without it holds nothing on a GPU
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 2**10
    torch = sys.modules.get("torch")
    allocated = None
    if torch is not None and torch.cuda.is_initialized():
        allocated = int(torch.cuda.max_memory_allocated()) // 2**20
    return {"peak_memory_mib": resident, "peak_gpu_memory_mib": allocated}


def plain(value: Any) -> Any:
    """`value` with dictionaries in place of dataclasses and lists in place of tuples."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = dataclasses.asdict(value)
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def git_state(root: Path) -> dict[str, Any]:
    """The commit below which the code lies and whether tracked files differ from it."""

    if (root / SNAPSHOT).is_file():
        copied: dict[str, Any] = read_json(root / SNAPSHOT)["git"]
        return copied

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True
            )
        except (OSError, subprocess.CalledProcessError):
            return None
        return done.stdout.strip()

    commit = git("rev-parse", "HEAD")
    changed = git("status", "--porcelain", "--untracked-files=no", "--", "src", "params.yaml")
    return {"commit": commit, "dirty": None if changed is None else bool(changed)}


def processor_name() -> str:
    """The processor's name as the system gives it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or "unknown"
