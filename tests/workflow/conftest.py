"""Copies of the project in which the tests may do as they like."""

import subprocess
import time

import psutil
import pytest
from workplace import LEARNING_RATE, Changed, Workplace, fresh_clone


@pytest.fixture(scope="session")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    """A fresh clone of the project with small parameters; nothing was computed yet."""
    return fresh_clone(tmp_path_factory.mktemp("sources") / "project")


@pytest.fixture(scope="session")
def computed_by_dvc(sources: Workplace, tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    """The project after its first `dvc repro`, committed. Tests use copies of it."""
    project = sources.copy(tmp_path_factory.mktemp("dvc") / "project")
    project("dvc", "repro")
    project.commit("results")
    return project


@pytest.fixture(scope="session")
def changed(computed_by_dvc: Workplace, tmp_path_factory: pytest.TempPathFactory) -> Changed:
    """Another learning rate: `snakemake`, whose pretraining crashes, `snakemake` again, commit."""
    project = computed_by_dvc.copy(tmp_path_factory.mktemp("changed") / "project")
    project.set(LEARNING_RATE, 0.01)
    planned = project.planned()
    until_the_crash = _killed_in_pretrain(project)
    status = project("dvc", "status")
    project("snakemake")
    after_the_crash = project.executed
    project.commit("another learning rate")
    return Changed(project, planned, until_the_crash, status, after_the_crash)


def _killed_in_pretrain(project: Workplace) -> list[str]:
    """What `snakemake` executed until its pretraining was killed, as by a lack of memory."""
    started = time.time()
    with subprocess.Popen(
        ["snakemake"],
        cwd=project.root,
        env=project.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as snakemake:
        descendants = psutil.Process(snakemake.pid)
        while not (executed := project.executed_since(started)):
            assert snakemake.poll() is None
            time.sleep(0.02)
        for process in descendants.children(recursive=True):
            if "pretrain" in process.cmdline():
                process.kill()
        assert snakemake.wait() != 0
    return executed
