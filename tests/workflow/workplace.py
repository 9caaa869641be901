"""A small project with the real commands, and what a user types in it."""

import fcntl
import functools
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from dino.core import stages
from dino.core.configuration.pretrain import CropsConfig
from dino.core.configuration.whole_file import whole_text
from dino.data.crops import MultiCrop

ROOT = Path(__file__).parents[2]
# compiled code comes along: its cache is valid where the sources keep their times
GENERATED = shutil.ignore_patterns("*.egg-info")
SOURCES = (
    ".dvc/.gitignore",
    ".dvc/config",
    ".dvcignore",
    ".gitignore",
    "Snakefile",
    "dvc.yaml",
    "presets",
    "profiles",
    "pyproject.toml",
    "slurm",
    "src",
    "workflow",
)
RUN = "tiny-dino-s0"
LEARNING_RATE = "pretrain.optimizer.learning_rate"
MEASURE_COST = ("paper_crops", "paper_throughput")
"""Tables of time and memory, which no two executions have in common."""
STAGES = tuple(stages.STAGES)
PER_RUN = stages.PER_RUN

# The real commands on scikit-learn's digits: every stage computes for about a second.
PARAMETERS: dict[str, Any] = {
    "runs": {"architecture": ["tiny"], "variant": ["dino"], "seed": [0]},
    "variants": {"dino": {}},
    "architectures": {
        "tiny": {
            "timm_name": "vit_tiny_patch16_224",
            "image_size_px": 8,
            "patch_size_px": 2,
            "embed_dim": 16,
            "depth": 2,
            "num_heads": 2,
            "drop_path": 0.0,
        }
    },
    "datasets": {
        "digits": {
            "source": "digits",
            "val_images": 50,
            "max_train_images": 150,
            "max_test_images": 60,
        },
    },
    "pretrain": {
        "dataset": "digits",
        "epochs": 1,
        "batch_size": 32,
        "precision": "float32",
        "online_knn_bank": 100,
        "crops": {"global_size_px": 8, "local_size_px": 4, "local_crops": 1},
        "head": {"out_dim": 16, "hidden_dim": 16, "bottleneck_dim": 8},
        "optimizer": {"learning_rate": 0.001, "warmup_epochs": 0, "freeze_last_layer_epochs": 0},
    },
    "features": {"resize_px": 8, "crop_px": 8, "last_blocks": 1},
    "knn": {"neighbours": [5, 10], "headline": 5},
    "linear": {"epochs": 2, "batch_size": 50},
    "linear_paper": {"epochs": 2, "batch_size": 50},
    "low_shot": {"fractions": [0.1, 0.5], "draws": 2},
    "attention": {"image_size_px": 16, "images": 20, "selection_images": 20, "examples": 2},
    "class_map": {"superclasses": {"round": list("03689"), "straight": list("12457")}},
    "finetune": {
        "max_train_images": 60,
        "epochs": 2,
        "batch_size": 20,
        "warmup_epochs": 1,
        "resize_px": 8,
        "crop_px": 8,
    },
    "robustness": {"images": 20, "neighbours": 5},
}


@dataclass
class Workplace:
    """A project in a folder of its own, with its own git repository and DVC cache."""

    root: Path
    variables: dict[str, str] = field(default_factory=dict)
    """Of the shell's environment, besides those that every shell has."""
    executed: list[str] = field(default_factory=list)
    """What the last command executed, such as pretrain-tiny-dino-s0 or report; sorted."""

    def __call__(self, *command: str, succeeds: bool = True) -> str:
        """The output of `command`; fails unless it succeeds (or fails, if that is expected)."""
        started = time.time()
        done = subprocess.run(
            command, cwd=self.root, env=self.environment, capture_output=True, text=True
        )
        output = done.stdout + done.stderr
        self.executed = self.executed_since(started)
        if (done.returncode == 0) is not succeeds:
            pytest.fail(f"`{' '.join(command)}` ended with {done.returncode}:\n{output}")
        return output

    def executed_since(self, started: float) -> list[str]:
        """What was executed after a time in seconds since the epoch, sorted."""
        # every subcommand of dino opens its lock when it starts, whichever engine calls it
        locks = (self.root / "work" / "locks").glob("*")
        return sorted(lock.name for lock in locks if lock.stat().st_mtime > started)

    @property
    def environment(self) -> dict[str, str]:
        """The variables that its commands see."""
        return environment(self.root) | self.variables

    def set(self, key: str, value: Any, file: str = "params.yaml") -> None:
        """Change one value of params.yaml, or of another such file, as with an editor."""
        path = self.root / file
        parameters = yaml.safe_load(path.read_text())
        *sections, last = key.split(".")
        section = parameters
        for name in sections:
            section = section[name]
        section[last] = value
        path.write_text(yaml.safe_dump(parameters, sort_keys=False))

    def append(self, path: str, text: str) -> None:
        """Add `text` to the end of a file."""
        with (self.root / path).open("a") as stream:
            stream.write(text)

    def commit(self, message: str) -> None:
        """Commit everything that git does not ignore."""
        self("git", "add", "--all")
        self("git", "commit", "--quiet", "--message", message)

    def copy(self, to: Path) -> "Workplace":
        """A copy in which the files keep their times."""
        shutil.copytree(self.root, to, symlinks=True)
        return Workplace(to, self.variables)

    def planned(self) -> dict[str, int]:
        """How many jobs of each rule `snakemake` would execute."""
        lines = self("snakemake", "--dry-run").splitlines()
        if any("Nothing to be done" in line for line in lines):
            return {}
        first = next(n for n, line in enumerate(lines) if line.startswith("------"))
        jobs = dict(line.split() for line in lines[first + 1 : lines.index("", first)])
        return {rule: int(count) for rule, count in jobs.items() if rule not in ("all", "total")}

    @property
    def table(self) -> str:
        """The final numbers."""
        return (self.root / "results" / "summary.json").read_text()

    @property
    def tables(self) -> dict[str, bytes]:
        """The tables by their files' names, but for those of time and memory."""
        folder = self.root / "results" / "tables"
        # Snakemake notes the time of a folder in a hidden file
        found = (p for p in folder.iterdir() if not p.name.startswith("."))
        return {p.name: p.read_bytes() for p in found if p.stem not in MEASURE_COST}

    def out_of_date(self) -> Set[str]:
        """The steps that DVC itself would execute, without those that follow from them."""
        return set(json.loads(self("dvc", "status", "--json")))

    def clean_run(self, to: Path) -> "Workplace":
        """This code and these parameters executed in an empty folder, by no engine."""
        shutil.copytree(self.root / "src", to / "src")
        shutil.copy(self.root / "params.yaml", to)
        clean = Workplace(to)
        clean.execute(*STAGES)
        return clean

    def execute(self, *stages: str) -> None:
        """Execute stages one after the other, in one process that imports torch once."""
        commands = [[stage, *(["--run", RUN] if stage in PER_RUN else [])] for stage in stages]
        script = (
            "import sys; sys.path.insert(0, 'src')\n"
            "from dino.cli import run\n"
            f"sys.exit(any(run(command) for command in {commands}))"
        )
        self(sys.executable, "-c", script)


@dataclass(frozen=True)
class Changed:
    """What happened after `dvc repro` and an edit of the learning rate."""

    project: Workplace
    planned: dict[str, int]
    until_the_crash: list[str]
    status_after_the_crash: str
    after_the_crash: list[str]


@functools.cache
def _compile() -> None:
    """Compile the augmentation once here, which takes half a minute, and not in every copy."""
    with (ROOT / "src" / "dino" / "data" / "crops.py").open() as stream:
        # the other process of the tests waits, and finds the compiled code
        fcntl.flock(stream, fcntl.LOCK_EX)
        MultiCrop(CropsConfig())


def fresh_clone(root: Path, parameters: dict[str, Any] = PARAMETERS) -> Workplace:
    """The project at `root` with small parameters; nothing was computed yet.

    What `parameters` leaves out has its default.
    """
    _compile()
    for name in SOURCES:
        source, copy = ROOT / name, root / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, copy, ignore=GENERATED)
        else:
            shutil.copy(source, copy)
    # every value, as `dino preset` writes it: DVC knows no defaults
    whole = whole_text(yaml.safe_dump(parameters, sort_keys=False), "params.yaml")
    (root / "params.yaml").write_text(whole)
    project = Workplace(root)
    project("git", "init", "--quiet")
    project.commit("sources")
    return project


def environment(root: Path) -> dict[str, str]:
    """The variables of a shell in which the virtual environment is active.

    What the tools keep per user lies beside the project, and nothing of the user's own is read.
    """
    beside = root.parent
    kept = ("PATH", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH")
    return {
        **{name: os.environ[name] for name in kept if name in os.environ},
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        # threads that wait leave the core to the processes beside them; changes no number
        "OMP_WAIT_POLICY": "PASSIVE",
        "HOME": str(beside),
        "XDG_CACHE_HOME": str(beside / "cache"),
        "DVC_SITE_CACHE_DIR": str(beside / "dvc"),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "tester",
        "GIT_AUTHOR_EMAIL": "tester@localhost",
        "GIT_COMMITTER_NAME": "tester",
        "GIT_COMMITTER_EMAIL": "tester@localhost",
    }
