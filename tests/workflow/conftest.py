"""Copies of the project in which the tests may do as they like."""

import shutil
from pathlib import Path

import pytest
import yaml
from workplace import PARAMETERS, SOURCES, Workplace

ROOT = Path(__file__).parents[2]
GENERATED = shutil.ignore_patterns("__pycache__", "*.egg-info")


@pytest.fixture(scope="session")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    """A fresh clone of the project with small parameters; nothing was computed yet."""
    root = tmp_path_factory.mktemp("sources") / "project"
    for name in SOURCES:
        source, copy = ROOT / name, root / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, copy, ignore=GENERATED)
        else:
            shutil.copy(source, copy)
    (root / "params.yaml").write_text(yaml.safe_dump(PARAMETERS, sort_keys=False))
    project = Workplace(root)
    project("git", "init", "--quiet")
    project.commit("sources")
    return project


@pytest.fixture(scope="session")
def computed_by_dvc(sources: Workplace, tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    """The project after its first `dvc repro`, committed. Tests use copies of it."""
    project = sources.copy(tmp_path_factory.mktemp("dvc") / "project")
    project("dvc", "repro")
    project.commit("results")
    return project
