"""A real SLURM on this machine, and projects that use it."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from background import Background
from cluster import (
    RUN,
    Cluster,
    Training,
    Undisturbed,
    prepared_project,
    sha256_of_checkpoint,
)
from workplace import Workplace


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Skipped, with the reason, where SLURM neither is installed nor can be; never in CI."""
    can_install = os.geteuid() == 0 and shutil.which("apt-get") is not None
    is_installed = shutil.which("sbatch") and shutil.which("slurmctld", path="/usr/sbin:/usr/bin")
    if not (is_installed or can_install or os.environ.get("CI")):
        pytest.skip("SLURM is not installed, and Debian's packages need root; see tests/slurm")
    try:
        cluster = Cluster()
    except subprocess.CalledProcessError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"no SLURM can be started here: {error}; see tests/slurm/cluster.sh")
    yield cluster
    cluster.switch("stop")


@pytest.fixture(scope="session")
def prepared(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    """A project whose images are prepared; tests use copies of it."""
    return prepared_project(tmp_path_factory.mktemp("prepared") / "project", cluster)


@pytest.fixture(scope="session", autouse=True)
def background(
    cluster: Cluster, prepared: Workplace, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Background]:
    """Starts with the first test."""
    background = Background(cluster, prepared, tmp_path_factory.mktemp("background"))
    yield background
    background.wait()


@pytest.fixture
def alone(background: Background) -> None:
    """For tests that disturb the whole cluster."""
    background.wait()


@pytest.fixture(scope="session")
def undisturbed(prepared: Workplace, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """Trainings without SLURM and without a disturbance."""
    hashes, logs = {}, {}
    for processes in (1, 2):
        project = prepared.copy(tmp_path_factory.mktemp("undisturbed") / "project")
        project.variables = {"DINO_PROCESSES": str(processes)}
        # on one core, as the jobs: their sums are in the same order
        project("taskset", "--cpu-list", "0", "dino", "pretrain", "--run", RUN)
        hashes[processes] = sha256_of_checkpoint(project)
        logs[processes] = pd.read_csv(project.root / "results" / "runs" / RUN / "pretrain.csv")
    return Undisturbed(hashes, logs)


@pytest.fixture
def training(prepared: Workplace, cluster: Cluster, tmp_path: Path) -> Training:
    """A training that nobody has started."""
    return Training(prepared.copy(tmp_path / "project"), cluster)
