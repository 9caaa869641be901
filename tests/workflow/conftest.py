"""Copies of the project in which the tests may do as they like."""

import shutil

import pytest
from workplace import LEARNING_RATE, RUN, Changed, Workplace, fresh_clone


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
    # a file where the training wants to keep what it resumes from
    in_the_way = project.root / "work" / RUN
    shutil.rmtree(in_the_way, ignore_errors=True)
    in_the_way.write_text("a file")
    project("snakemake", succeeds=False)
    until_the_crash = project.executed
    status = project("dvc", "status")
    in_the_way.unlink()
    project("snakemake")
    after_the_crash = project.executed
    project.commit("another learning rate")
    return Changed(project, planned, until_the_crash, status, after_the_crash)
