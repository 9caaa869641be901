"""A project after its report, with artifacts and a whole provenance."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dino.core.artifacts import sha256_of_file, write_json, write_text
from dino.core.configuration.parameters import read_parameters
from dino.core.paths import MODELS, Project
from dino.core.provenance import plain
from dino.core.stages import PER_RUN
from dino.reporting.reading import read_provenance, read_results
from dino.reporting.summary import summarise
from dino.reporting.tables.catalogue import all_tables

FINGERPRINT = "ab" * 32


@pytest.fixture(scope="session")
def made(projects: Callable[..., Project], tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project after its report, with artifacts and a whole provenance."""
    project = projects(tmp_path_factory.mktemp("why") / "project", seeds=(1,))
    parameters = read_parameters(project.parameters)
    for run in parameters.all_runs():
        paths = project.run(run.name)
        write_text(paths.checkpoint, f"checkpoint of {run.name}")
        for model in MODELS:
            write_text(paths.model(model) / "model.safetensors", f"{model} of {run.name}")
        models = {m: sha256_of_file(paths.model(m) / "model.safetensors") for m in MODELS}
        for stage in PER_RUN:
            sections: dict[str, Any] = {stage: getattr(parameters, stage, None)}
            if stage == "pretrain":
                sections = {
                    "architecture": parameters.architectures[run.architecture],
                    "pretrain": parameters.pretrain_of(run),
                }
            more: dict[str, Any] = {"models": models}
            if stage in ("pretrain", "export"):
                more = {"checkpoint": sha256_of_file(paths.checkpoint)}
            record = _record(stage, sections, run.seed) | more
            write_json(
                paths.provenance(stage),
                record | {"command": f"dino {stage} --run {run.name}"},
            )
    write_json(
        project.provenance("prepare", "digits"),
        _record("prepare", {"datasets": parameters.datasets}, 0),
    )
    used = ("knn", "linear", "attention")
    write_json(
        project.provenance("baselines"),
        _record("baselines", {name: getattr(parameters, name) for name in used}, None),
    )
    write_report(project)
    return project


def _record(stage: str, parameters: dict[str, Any], seed: int | None) -> dict[str, Any]:
    return {
        "stage": stage,
        "command": f"dino {stage}",
        "parameters": {name: plain(value) for name, value in parameters.items() if value},
        "data": FINGERPRINT,
        "seed": seed,
        "precision": "bf16" if stage == "pretrain" else None,
        "git": {"commit": "c0ffee" * 6 + "c0ff", "dirty": stage == "knn"},
        "packages": {"torch": "2.14.1"},
        "python": "3.11.7",
        "machine": {"host": "vm", "system": "Linux x86_64", "processor": "AMD", "cores": 2},
        "started_at": "2026-01-01T00:00:00+00:00",
        "wall_seconds": 12.5,
    }


def write_report(project: Project) -> None:
    """Everything that the stage writes, but the figures and the page."""
    parameters = read_parameters(project.parameters)
    results = read_results(project, parameters)
    summary = summarise(results)
    for table in all_tables(results, summary, parameters):
        write_text(project.results / "tables" / f"{table.name}.csv", table.csv())
        write_text(project.results / "tables" / f"{table.name}.md", table.markdown())
    write_json(project.results / "provenance.json", read_provenance(project, parameters))
    write_text(project.results / "scores.csv", results.scores.to_csv(index=False))
    write_json(project.results / "summary.json", summary)


@pytest.fixture
def report() -> Callable[[Project], None]:
    """The function that writes the report of a project anew."""
    return write_report


@pytest.fixture
def project(made: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A copy to do as one likes in, as the current folder."""
    shutil.copytree(made.root, tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    return Project(root=Path())
