"""An architecture with weights goes through the whole graph, and nothing is trained."""

import json
from pathlib import Path

import pytest
import torch
from workplace import PARAMETERS, RUN, STAGES, Workplace

from dino.core.artifacts import sha256_of_file
from dino.core.configuration.architecture import ArchitectureConfig
from dino.features.teacher import load_backbone
from dino.model.student_teacher import initial_backbone

SIZES = PARAMETERS["architectures"]["tiny"]


@pytest.fixture(scope="module")
def evaluated(sources: Workplace, tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    project = sources.copy(tmp_path_factory.mktemp("existing") / "project")
    backbone = initial_backbone(ArchitectureConfig(**SIZES), seed=7)
    torch.save(backbone.state_dict(), project.root / "teacher.pth")
    project.set("architectures.tiny.weights", {"file": "teacher.pth"})
    project.execute(*STAGES)
    return project


def test_it_is_the_teacher_that_is_evaluated(evaluated: Workplace) -> None:
    artifacts = evaluated.root / "artifacts" / RUN
    for model, seed in (("teacher", 7), ("random_init", 0)):
        expected = initial_backbone(ArchitectureConfig(**SIZES), seed=seed).state_dict()
        actual = load_backbone(artifacts / model).weights
        assert all(torch.equal(actual[name], expected[name]) for name in expected)
    results = evaluated.root / "results" / "runs" / RUN
    assert (results / "pretrain.csv").read_text().count("\n") == 1
    provenance = json.loads((results / "provenance" / "pretrain.json").read_text())
    assert provenance["steps"] == 0
    assert provenance["weights"] == sha256_of_file(evaluated.root / "teacher.pth")


def test_report_and_card_say_that_it_was_not_trained_here(evaluated: Workplace) -> None:
    summary = json.loads(evaluated.table)
    assert summary["runs"][RUN]["knn_top1"] is not None
    report = (evaluated.root / "results" / "report.html").read_text()
    assert f"Not trained here: {RUN}" in report
    card = (evaluated.root / "artifacts" / RUN / "teacher" / "README.md").read_text()
    assert "the teacher in `teacher.pth`" in card


def test_a_file_that_changed_is_noticed(evaluated: Workplace, tmp_path: Path) -> None:
    project = evaluated.copy(tmp_path / "project")
    checksum = sha256_of_file(project.root / "teacher.pth")
    other = initial_backbone(ArchitectureConfig(**SIZES), seed=8)
    torch.save(other.state_dict(), project.root / "teacher.pth")
    output = project("dino", "export", "--run", RUN, succeeds=False)
    assert "teacher.pth: changed since `dino pretrain` read it" in output
    # with its checksum in params.yaml it is another parameter to both engines, or a refusal
    project.set("architectures.tiny.weights.sha256", checksum)
    output = project("dino", "pretrain", "--run", RUN, succeeds=False)
    assert f"expected the SHA-256 {checksum}" in output
    assert output.strip().count("\n") == 0
