"""What `dino why` says where files, records and parameters no longer agree."""

import shutil
from collections.abc import Callable

import pytest
from explained import said

from dino.core.artifacts import read_json, sha256_of_file, write_json, write_text
from dino.core.errors import DinoError
from dino.core.paths import Project
from dino.reporting.why.explanation import explanation

RUN = "vit_micro_7-dino-s1"


@pytest.mark.parametrize("name", ["checkpoint", "teacher"])
def test_an_artifact_that_is_another_file_now_is_said(project: Project, name: str) -> None:
    paths = project.run(RUN)
    path = paths.checkpoint
    if name == "teacher":
        path = paths.model("teacher") / "model.safetensors"
    expected = sha256_of_file(path)
    write_text(path, "tampered")
    text, holds = explanation(project, f"{RUN}:knn_top1")
    assert not holds
    assert f"{name:<12} {expected}" in text
    assert f"{path}: DIFFERS, it is {sha256_of_file(path)}" in text
    # what another run was made from is as it was
    assert explanation(project, "vit_nano_7-dino-s1:knn_top1")[1]


def test_an_artifact_that_is_absent_is_no_contradiction(project: Project) -> None:
    shutil.rmtree(project.root / "artifacts")
    text = said(project, f"{RUN}:knn_top1")
    assert f"artifacts/{RUN}/checkpoint.pth: absent" in text


def test_parameters_that_changed_since_are_named(project: Project) -> None:
    path = project.parameters
    path.write_text(path.read_text().replace("digits}", "digits, seed: 3}") + "knn: {headline: 10}")
    text = said(project, f"{RUN}:knn_top1")
    assert (
        "params.yaml has changed since: datasets.digits.seed 0 -> 3; knn.headline 20 -> 10" in text
    )
    # those of other stages are no concern of a number
    assert "datasets.digits.seed 0 -> 3\n" in said(project, f"{RUN}:linear_top1")
    path.write_text(path.read_text().replace("seed: [1]", "seed: [0]"))
    text = said(project, f"{RUN}:knn_top1")
    assert "expected one of the runs in params.yaml (vit_micro_7-dino-s0, " in text


def test_a_stage_that_ran_again_after_the_report_is_said(project: Project) -> None:
    path = project.run(RUN).provenance("knn")
    write_json(path, read_json(path) | {"wall_seconds": 99.0})
    text, holds = explanation(project, f"{RUN}:knn_top1")
    assert not holds
    assert f"DIFFERS: knn of {RUN} ran again after the report; run `dino report`" in text
    assert explanation(project, f"{RUN}:linear_top1")[1]


def test_numbers_that_no_longer_agree_are_said(project: Project) -> None:
    summary = project.results / "summary.json"
    values = read_json(summary)
    values["runs"][RUN]["knn_top1"] = 79.0
    write_json(summary, values)
    text, holds = explanation(project, f"accuracy:{RUN}:knn_top1")
    assert not holds
    assert "accuracy.csv: 78.00 where results/summary.json has 79.0" in text
    assert f"runs.{RUN}.knn_top1 is 79.0, but the result files say 78.00" in text


def test_stages_that_saw_different_models_are_said(
    project: Project, report: Callable[[Project], None]
) -> None:
    for path in (project.run(RUN).provenance("knn"),):
        record = read_json(path)
        record["models"]["teacher"] = "00" * 32
        write_json(path, record)
    report(project)
    text, holds = explanation(project, f"{RUN}:knn_top1")
    assert not holds
    assert "DIFFERS between the stages" in text
    assert "knn 000000000000" in text


def test_a_record_is_explained_without_its_artifacts(project: Project) -> None:
    record = project.root / "records" / "first"
    record.mkdir(parents=True)
    for name in ("summary.json", "provenance.json", "scores.csv"):
        shutil.copy(project.results / name, record)
    shutil.copytree(project.results / "tables", record / "tables")
    shutil.copy(project.parameters, record)
    # the checkout has gone on since
    write_text(project.run(RUN).checkpoint, "another training")
    project.parameters.write_text(project.parameters.read_text() + "knn: {headline: 10}\n")
    for asked in (
        f"records/first:{RUN}:knn_top1",
        f"records/first:accuracy:{RUN}:knn_top1",
        f"records/first/tables/accuracy.csv:{RUN}:knn_top1",
        f"records/first/summary.json:runs.{RUN}.knn_top1",
    ):
        text = said(project, asked)
        assert "knn_top1 = 78.0 [77.0, 79.0]" in text.splitlines()[0]
        assert f"records/first/runs/{RUN}/knn.json: not kept here" in text
        assert "not kept with the record" in text
        assert "parameters; records/first/params.yaml was kept with the results" in text
        assert f"dino pretrain --run {RUN}" in text


@pytest.mark.parametrize(
    ("asked", "known"),
    [
        ("vit_micro_7-dino-s9", f"expected a run ({RUN}, vit_nano_7-dino-s1),"),
        (f"{RUN}:knn_top2", "knn_top1, knn_top5, knn_val_top1, linear_best_top1,"),
        ("runs.vit_micro_7.knn_top1", f"no vit_micro_7 in runs; known: {RUN}, vit_nano_7-dino-s1"),
        (f"accuracy:{RUN}:knn", "no column knn; known: features, knn_top1"),
        ("accuracy:pixels,and,more:knn_top1", "known: 1: teacher, vit_micro_7-dino-s1; 2: teacher"),
        (
            "accuracy:teacher:knn_top1",
            "teacher names several rows (1: teacher, vit_micro_7",
        ),
        (f"accuracy:{RUN}", "expected a column too"),
        ("results/tables/accurate.csv:1:knn_top1", "results/tables/accurate.csv: no such file"),
        (f"results/runs/{RUN}/attention.json:teacher.heads.7", "no 7 of teacher.heads.7"),
        ("records/none:x", "expected one of records/ (none)"),
        ("/etc/hostname", "expected a path below"),
    ],
)
def test_a_name_that_means_nothing_is_answered_with_what_is_known(
    project: Project, asked: str, known: str
) -> None:
    with pytest.raises(DinoError) as caught:
        explanation(project, asked)
    assert known in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_name_that_is_too_long_for_a_file_is_answered_like_any_other(project: Project) -> None:
    with pytest.raises(DinoError, match="expected a run"):
        explanation(project, "x" * 300)


@pytest.mark.parametrize(
    ("text", "known"), [("[]", "found no runs"), ('{"runs": {}}', "found no groups")]
)
def test_a_summary_of_another_shape_is_one_line(project: Project, text: str, known: str) -> None:
    (project.results / "summary.json").write_text(text)
    with pytest.raises(DinoError, match=known):
        explanation(project, f"{RUN}:knn_top1")


def test_before_the_first_report_a_result_file_is_explained(project: Project) -> None:
    for name in ("provenance.json", "summary.json"):
        (project.results / name).unlink()
    assert f"dino knn --run {RUN}" in said(project, f"results/runs/{RUN}/knn.json")
    with pytest.raises(DinoError, match=r"summary.json: not found; run the stage"):
        explanation(project, RUN + ":knn_top1")
