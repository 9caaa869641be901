"""A project with one small step, which no test executes."""

from pathlib import Path

import pytest
import yaml

from dino.core.pipeline import Step, Target, read_step

OUTPUTS = ("artifacts/r/checkpoint.pth", "results/runs/r/pretrain.csv")
STAGES = {
    "pretrain": {
        "cmd": "dino pretrain --run r",
        "params": ["pretrain"],
        "deps": ["src/dino/cli.py", "data/digits/dataset.json"],
        "outs": list(OUTPUTS),
    },
    "prepare": {
        "cmd": "dino prepare --dataset digits",
        "deps": [],
        "outs": ["data/digits/dataset.json"],
    },
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A checkout with images, code and another run's results."""
    files = {
        "params.yaml": "pretrain: {epochs: 1}\n",
        "dvc.yaml": yaml.safe_dump({"stages": dict(reversed(STAGES.items()))}, sort_keys=False),
        "src/dino/cli.py": "code\n",
        "data/digits/dataset.json": "{}\n",
        "artifacts/other/checkpoint.pth": "weights\n",
        "results/runs/other/pretrain.csv": "log\n",
        "pictures/a.png": "pixels\n",
        "slurm/settings.yaml": "defaults: {minutes: 5}\n",
    }
    for name, text in files.items():
        path = tmp_path / "project" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "project"


@pytest.fixture
def step(root: Path) -> Step:
    return read_step(root, Target("pretrain", "r"))
