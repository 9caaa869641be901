"""`dino` in processes of their own, which die where they are told to."""

import hashlib
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import yaml

RUN = "vit-dino-s0"
MOMENTS = ("step", "write", "rename", "epoch")
"""In the middle of a step, of writing a checkpoint, before its renaming, at an epoch's end."""
_CONTEXT = multiprocessing.get_context("forkserver")
PARAMETERS: dict[str, Any] = {
    "runs": {"architecture": ["vit"], "variant": ["dino"], "seed": [0]},
    "variants": {"dino": {}},
    "architectures": {
        "vit": {
            "timm_name": "vit_tiny_patch16_224",
            "image_size_px": 8,
            "patch_size_px": 4,
            "embed_dim": 16,
            "depth": 2,
            "num_heads": 2,
            "drop_path": 0.1,
        }
    },
    "datasets": {"digits": {"source": "digits", "val_images": 50, "max_train_images": 320}},
    "pretrain": {
        "batch_size": 16,
        "precision": "float32",
        "online_knn_bank": 100,
        # a checkpoint every few steps: half of them are hit while one is written
        "checkpoints": {"minutes": 0.0005, "milestone_epochs": 2},
        "crops": {"global_size_px": 8, "local_size_px": 4, "local_crops": 2},
        "head": {"out_dim": 24, "hidden_dim": 16, "bottleneck_dim": 8},
        "optimizer": {"warmup_epochs": 1, "learning_rate": 0.01},
    },
    "features": {"resize_px": 8, "crop_px": 8, "last_blocks": 2},
    "attention": {"image_size_px": 8},
    "finetune": {"enabled": False},
}


class Training:
    """A project in a folder with one training: `epochs` of 20 steps on 320 digits."""

    def __init__(self, folder: Path, epochs: int) -> None:
        """Prepares the data."""
        self.folder = folder
        self.log = folder / "log.txt"
        """What the newest process said on stdout and stderr."""
        self.checkpoint = folder / "artifacts" / RUN / "checkpoint.pth"
        self.work = folder / "work" / RUN
        pretrain = {**PARAMETERS["pretrain"], "epochs": epochs}
        (folder / "params.yaml").write_text(yaml.safe_dump({**PARAMETERS, "pretrain": pretrain}))
        process = self.start(arguments=("prepare",))
        process.join()
        if process.exitcode:
            raise RuntimeError(self.log.read_text())

    def start(
        self,
        kill_at: tuple[str, int] | None = None,
        *,
        arguments: tuple[str, ...] = ("pretrain", "--run", RUN),
        environment: dict[str, str] | None = None,
        log: str = "log.txt",
    ) -> ForkServerProcess:
        """A process that runs `dino` and, at the n-th of one of MOMENTS, kills itself."""
        # torch is imported once, for all processes
        _CONTEXT.set_forkserver_preload(["dino.cli", "dino.stages.pretrain"])
        process = _CONTEXT.Process(
            target=_dino, args=(self.folder, log, arguments, kill_at, environment or {})
        )
        process.start()
        return process

    def finish(self) -> str:
        """The SHA-256 of the checkpoint of a training that is left to end."""
        process = self.start()
        process.join()
        if process.exitcode:
            raise RuntimeError(self.log.read_text())
        return hashlib.sha256(self.checkpoint.read_bytes()).hexdigest()

    def restart(self) -> None:
        """Forget the finished training."""
        self.checkpoint.unlink()
        for milestone in self.work.rglob("*.pth"):
            milestone.unlink()

    def said(self, text: str) -> str | None:
        """The line with `text` that the newest process wrote, None when there is none."""
        return next((line for line in self.log.read_text().splitlines() if text in line), None)


def _dino(
    folder: Path,
    log: str,
    arguments: tuple[str, ...],
    kill_at: tuple[str, int] | None,
    environment: dict[str, str],
) -> None:
    import torch

    from dino.cli import run

    os.chdir(folder)
    os.environ |= environment
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    torch.set_num_threads(1)
    if kill_at is not None:
        _die(*kill_at)
    code = run(list(arguments))
    sys.stdout.flush()
    sys.exit(code)


def _die(moment: str, count: int) -> None:
    """Let this process kill itself at the `count`-th `moment`."""
    from dino.training import checkpoints
    from dino.training.step import Stepper, TeacherUpdate

    passed = 0

    def before(function: Callable[..., Any], last: Callable[..., None]) -> Callable[..., Any]:
        def replaced(*arguments: Any, **options: Any) -> Any:
            nonlocal passed
            passed += 1
            if passed == count:
                last(*arguments)
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **options)

        return replaced

    def nothing(*_: Any) -> None:
        pass

    def half(path: Path, content: dict[str, Any]) -> None:
        write(path, content)
        os.truncate(path, path.stat().st_size // 2)

    write: Callable[..., None] = checkpoints.write_checkpoint
    if moment == "step":
        # gradients are there, the optimizer has not moved
        Stepper._optimize = before(Stepper._optimize, nothing)
    elif moment == "write":
        checkpoints.write_checkpoint = before(write, half)
    elif moment == "rename":
        checkpoints.publish = before(checkpoints.publish, nothing)
    elif moment == "epoch":
        TeacherUpdate.after_epoch = before(TeacherUpdate.after_epoch, nothing)
    else:
        raise ValueError(f"expected one of {MOMENTS}, got {moment}")
