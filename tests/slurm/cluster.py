"""The private cluster of cluster.sh, and a training on it that is disturbed."""

import hashlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import workplace
import yaml
from workplace import Workplace, fresh_clone

from soak import training

SCRIPT = Path(__file__).parent / "cluster.sh"
RUN = training.RUN
SETTINGS = "slurm/settings.yaml"
PATIENCE_S = 300

# On scikit-learn's digits: 20 steps an epoch, a checkpoint every few steps.
PARAMETERS: dict[str, Any] = {
    **workplace.PARAMETERS,
    **training.PARAMETERS,
    "attention": workplace.PARAMETERS["attention"],
    "finetune": workplace.PARAMETERS["finetune"],
    "pretrain": {
        **training.PARAMETERS["pretrain"],
        "epochs": 10,
        "online_knn_every_epochs": 0,
        "checkpoints": {"minutes": 0.005},
    },
}


class Cluster:
    """SLURM's commands, and the switches of the cluster."""

    def __init__(self) -> None:
        """Starts it; raises `CalledProcessError` where that cannot be."""
        line = self.switch("start").strip().splitlines()[-1]
        self.variables = {"SLURM_CONF": line.split("=", 1)[1]}

    def switch(self, *command: str) -> str:
        """What cluster.sh prints."""
        done = subprocess.run([SCRIPT, *command], stdout=subprocess.PIPE, text=True, check=True)
        return done.stdout

    def __call__(self, *command: str) -> str:
        """What one of SLURM's commands prints."""
        environment = {**os.environ, **self.variables}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        return done.stdout

    def submissions(self, project: Workplace) -> list[str]:
        """The ids of all jobs that were ever submitted from `project`, by the accounting."""
        prefix = job_prefix(project.root)
        lines = self("sacct", "-n", "-X", "-P", "-o", "JobID,JobName", "-S", "now-1hours")
        jobs = [line.split("|") for line in lines.splitlines()]
        return sorted({job_id for job_id, name in jobs if name.startswith(prefix)})

    def state(self, job_id: str) -> str:
        """The state of a job that the controller knows, such as RUNNING."""
        return self("squeue", "-h", "-t", "all", "-j", job_id, "-o", "%T").strip()


def job_prefix(root: Path) -> str:
    """What the names of the jobs of a checkout begin with."""
    return f"dino-{hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:6]}-"


@dataclass(frozen=True)
class Undisturbed:
    """What trainings without SLURM ended with, by their number of processes."""

    hashes: dict[int, str]
    """SHA-256 of the final checkpoint."""
    logs: dict[int, pd.DataFrame]


def sha256_of_checkpoint(project: Workplace) -> str:
    """Of the final checkpoint."""
    path = project.root / "artifacts" / RUN / "checkpoint.pth"
    return hashlib.sha256(path.read_bytes()).hexdigest()


def descendants(process: int) -> list[int]:
    """A process and all that it has started, directly or not, the oldest first."""
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            stat = (folder / "stat").read_text().rpartition(")")[2].split()
            parents[int(folder.name)] = int(stat[1])
    found = [process]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found


def task_processes(job_id: str, rank: int | None = None) -> list[int]:
    """The processes of a job, or of one of its tasks, and their children."""
    wanted = [f"SLURM_JOB_ID={job_id}", f"SLURM_PROCID={'' if rank is None else rank}"]
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            variables = (folder / "environ").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if wanted[0] in variables and any(
            v == wanted[1] if rank is not None else v.startswith(wanted[1]) for v in variables
        ):
            found.append(int(folder.name))
    return found


def _status(process: int) -> list[str]:
    try:
        return Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return []


def wait_until(condition: Callable[[], Any], what: str) -> Any:
    """The first true value of `condition`; fails after a while without one."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.1)
    pytest.fail(f"in {PATIENCE_S} seconds: no {what}")


def prepared_project(root: Path, cluster: Cluster, **pretrain: Any) -> Workplace:
    """A fresh clone with prepared images and settings for the test cluster."""
    parameters = {**PARAMETERS, "pretrain": {**PARAMETERS["pretrain"], **pretrain}}
    project = fresh_clone(root, parameters)
    project.variables = {**cluster.variables}
    ask_for(project, minutes=60, cpus_per_task=1, gpus_per_node=0)
    project("dino", "prepare")
    return project


def ask_for(project: Workplace, stage: str | None = None, **values: Any) -> None:
    """Change slurm/settings.yaml: for one stage, or the defaults."""
    path = project.root / SETTINGS
    settings = yaml.safe_load(path.read_text())
    settings["poll_seconds"] = 0.5
    section = settings["defaults"] if stage is None else settings["stages"].setdefault(stage, {})
    section.update(values)
    if stage is None:
        settings["stages"] = {}
    path.write_text(yaml.safe_dump(settings, sort_keys=False))


@dataclass
class Training:
    """`dino pretrain` in a project on the cluster."""

    project: Workplace
    cluster: Cluster

    def start(self, *command: str) -> "subprocess.Popen[str]":
        """The launcher, or another command that calls it, in a process group of its own."""
        return subprocess.Popen(
            command or ["dino", "pretrain", "--run", RUN],
            cwd=self.project.root,
            env={**self.project.environment, "DINO_LAUNCHER": "slurm"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def finished(self, launcher: "subprocess.Popen[str]", code: int = 0) -> str:
        """What a launcher has printed, once it has ended with `code`."""
        output, _ = launcher.communicate(timeout=2 * PATIENCE_S)
        if launcher.returncode != code:
            pytest.fail(f"the launcher ended with {launcher.returncode}:\n{output}{self.logs()}")
        return output

    def logs(self, suffix: str = ".err") -> str:
        """What the processes of the jobs have printed."""
        logs = sorted((self.project.root / "work" / "jobs").rglob(f"*{suffix}"))
        return "".join(f"\n--- {log.name}\n{log.read_text()}" for log in logs)

    def job_id(self) -> str:
        """Of the newest job, as soon as there is one."""
        jobs = self.project.root / "work" / "jobs"

        def recorded() -> str | None:
            records = sorted(jobs.glob("pretrain-*/*/job.json"), key=lambda p: p.stat().st_mtime)
            return json.loads(records[-1].read_text())["job_id"] if records else None

        return str(wait_until(recorded, "job"))

    def job_id_in_training(self) -> str:
        """Of the newest job, as soon as it has written a checkpoint."""
        before = self.checkpoint_names()

        def trains() -> str | None:
            # the newest job may be another one by now
            job_id = self.job_id()
            further = self.checkpoint_names() - before
            # while it is queued again, the processes of its last attempt may be alive
            alive = further and task_processes(job_id) and self.cluster.state(job_id) == "RUNNING"
            return job_id if alive else None

        return str(wait_until(trains, "job that writes checkpoints"))

    @contextmanager
    def frozen(self) -> Iterator[str]:
        """A block in which the newest job, named, stands still after its first checkpoint."""
        job_id = self.job_id_in_training()
        processes = task_processes(job_id)
        for process in processes:
            os.kill(process, signal.SIGSTOP)
        try:
            yield job_id
        finally:
            for process in processes:
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGCONT)

    def wait_for_notice(self, job_id: str) -> None:
        """Until SLURM has sent SIGUSR2 to a job that stands still, or has woken it to hear it."""
        bit = 1 << (signal.SIGUSR2 - 1)

        def pending() -> bool:
            masks = [
                int(line.split()[1], 16)
                for process in task_processes(job_id)
                for line in _status(process)
                if line.startswith("ShdPnd:")
            ]
            return any(mask & bit for mask in masks)

        wait_until(lambda: pending() or "interrupted by" in self.logs(), "SIGUSR2")

    def attempt(self) -> str:
        """The name of the newest attempt at the job."""
        path = next((self.project.root / "work" / "jobs").glob("pretrain-*/*/attempt"))
        return path.read_text()

    def checkpoint_names(self) -> set[str]:
        """Of the checkpoints that an interrupted training continues from."""
        return {path.name for path in (self.project.root / "work" / RUN).rglob("step_*.pth")}

    def sha256(self) -> str:
        """Of the final checkpoint, which the launcher has published."""
        return sha256_of_checkpoint(self.project)
