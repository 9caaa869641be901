"""Copies of the project in which the tests may do as they like."""

import pytest
from workplace import Workplace, fresh_clone


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
