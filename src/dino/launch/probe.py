"""A small job whose processes report what a training would find on their nodes."""

import os
import platform
import shutil
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

from dino.core.artifacts import write_json
from dino.core.distributed import process_group, world_size
from dino.launch.task import export_ranks

TOKEN = "token"


@dataclass(frozen=True)
class Probe:
    """A task whose processes write what they see to `folder`/RANK.json."""

    folder: Path
    token: str
    """The content of the file `token` in the folder, if the file system is really shared."""

    def __call__(self) -> int:
        """Return 0; problems stand in the file."""
        rank = export_ranks(os.environ["SLURM_JOB_ID"], "0")
        token = self.folder / TOKEN
        found = {
            "host": os.environ.get("SLURMD_NODENAME") or socket.gethostname(),
            "python": platform.python_version(),
            "executable": sys.executable,
            "token": token.is_file() and token.read_text() == self.token,
            "scontrol": shutil.which("scontrol") is not None,
            "gpus": None,
            "torch": None,
            "sum": None,
            "backend": None,
            "error": None,
        }
        try:
            found |= _together(rank)
        except Exception as error:
            found["error"] = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        write_json(self.folder / f"{rank}.json", found)
        return 0

    def checkpoint(self) -> None:
        """Return None, so that the job is not queued again."""


def _together(rank: int) -> dict[str, object]:
    import torch
    import torch.distributed as dist

    found = {"torch": torch.__version__, "gpus": torch.cuda.device_count(), "sum": 0.0}
    with process_group():
        if world_size() > 1:
            device = "cuda" if torch.cuda.is_available() else "cpu"
            number = torch.tensor(float(rank), device=device)
            dist.all_reduce(number)
            found |= {"sum": float(number), "backend": dist.get_backend()}
    return found
