"""`python -m benchmarks.spread`: how far a result moves with the precision and the threads.

A short training on Fashion-MNIST for each setting and seed, in a folder of its own, for
docs/determinism.md. About five minutes on two idle cores.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from itertools import product
from pathlib import Path
from typing import Any

import yaml

from dino.core.artifacts import read_json, sha256_of_file
from dino.core.provenance import processor_name
from dino.core.yaml_file import read_yaml

SETTINGS = (("float32", 2), ("float32", 1), ("bf16", 2), ("bf16", 1))
"""Precision and threads; the others are compared with the first."""
STAGES = ("pretrain", "export", "features", "knn")


def main() -> int:
    """Print a row for each setting and seed: k-NN top-1, and its distance from the first's."""
    options = _options()
    print(f"{processor_name()}, {options.images} images, {options.epochs} epochs\n")
    print("| precision | threads | seed | k-NN top-1 | points from the first | checkpoint |")
    print("| :--- | ---: | ---: | ---: | ---: | :--- |", flush=True)
    first: dict[int, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        _write_parameters(project, options, SETTINGS[0][0], 0)
        # apart: a checkpoint names the code that its process had loaded
        _execute(project, [["prepare"]], SETTINGS[0][1])
        for (precision, threads), seed in product((*SETTINGS, SETTINGS[0]), range(options.seeds)):
            _write_parameters(project, options, precision, seed)
            top1, checkpoint = _train(project, threads, f"vit_micro_7-dino-s{seed}")
            first.setdefault(seed, top1)
            print(
                f"| {precision} | {threads} | {seed} | {top1:.2f} | {top1 - first[seed]:+.2f} "
                f"| {checkpoint[:12]} |",
                flush=True,
            )
    return 0


def _write_parameters(
    project: Path, options: argparse.Namespace, precision: str, seed: int
) -> None:
    """The project's own params.yaml with few images, one seed and one precision."""
    values: dict[str, Any] = read_yaml(Path("params.yaml"))
    values["runs"]["seed"] = [seed]
    values["datasets"]["fashion"] |= {
        "max_train_images": options.images,
        "max_test_images": 5000,
        "val_images": 100,
    }
    values["pretrain"] |= {
        "epochs": options.epochs,
        "precision": precision,
        "online_knn_every_epochs": 0,
    }
    values["features"]["precision"] = precision
    (project / "params.yaml").write_text(yaml.safe_dump(values))


def _train(project: Path, threads: int, run: str) -> tuple[float, str]:
    """The run's k-NN top-1 on test in percent, and the SHA-256 of its checkpoint."""
    _execute(project, [[stage, "--run", run] for stage in STAGES], threads)
    knn = read_json(project / "results" / "runs" / run / "knn.json")
    top1 = knn["teacher"]["test"][str(knn["headline"])]["top1"]
    return float(top1), sha256_of_file(project / "artifacts" / run / "checkpoint.pth")


def _execute(project: Path, commands: list[list[str]], threads: int) -> None:
    """Execute stages in a process of their own."""
    script = f"import sys; from dino.cli import run; sys.exit(any(map(run, {commands})))"
    subprocess.run(
        [sys.executable, "-c", script],
        cwd=project,
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads]),
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.spread", description=__doc__)
    parser.add_argument("--images", type=int, default=3000, help="training images")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=2)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
