"""`dino why` leads from any number of the report to the run, the files and the parameters."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dino.core.artifacts import read_json, sha256_of_file, write_json, write_text
from dino.core.configuration.parameters import read_parameters
from dino.core.errors import DinoError
from dino.core.paths import MODELS, Project
from dino.core.provenance import plain
from dino.reporting.figures.catalogue import all_pictures
from dino.reporting.graph import PER_RUN
from dino.reporting.results import Results, read_provenance, read_results
from dino.reporting.scores import stage_of
from dino.reporting.summary import summarise
from dino.reporting.tables.catalogue import all_tables
from dino.reporting.why.cells import PARAMETERS, stages_of
from dino.reporting.why.explanation import explanation

RUN = "vit_micro_7-dino-s1"
FINGERPRINT = "ab" * 32


@pytest.fixture(scope="module")
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
        project.provenance("prepare"), _record("prepare", {"prepare": parameters.prepare}, 0)
    )
    used = ("knn", "linear", "attention")
    write_json(
        project.provenance("baselines"),
        _record("baselines", {name: getattr(parameters, name) for name in used}, None),
    )
    _report(project)
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


def _report(project: Project) -> None:
    """Everything that the stage writes, but the figures and the page."""
    parameters = read_parameters(project.parameters)
    results = read_results(project, parameters.all_runs())
    summary = summarise(results)
    for table in all_tables(results, summary, parameters):
        write_text(project.results / "tables" / f"{table.name}.csv", table.csv())
        write_text(project.results / "tables" / f"{table.name}.md", table.markdown())
    write_json(project.results / "provenance.json", read_provenance(project, parameters.all_runs()))
    write_json(project.results / "summary.json", summary)


@pytest.fixture
def project(made: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A copy to do as one likes in, as the current folder."""
    shutil.copytree(made.root, tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    return Project(root=Path())


def _said(project: Project, asked: str) -> str:
    text, holds = explanation(project, asked)
    assert holds, text
    return text


def test_a_score_leads_to_its_file_and_everything_that_it_was_made_from(project: Project) -> None:
    text = _said(project, f"{RUN}:knn_top1")
    assert text.splitlines()[0] == f"runs.{RUN}.knn_top1 = 78.0 [77.0, 79.0]"
    assert f"results/runs/{RUN}/knn.json: teacher.test.20.top1 = 78" in text
    paths = project.run(RUN)
    for path in (paths.checkpoint, paths.model("teacher") / "model.safetensors"):
        assert f"{sha256_of_file(path)}\n{' ' * 15}{path}: the same" in text
    assert f"{FINGERPRINT}\n{' ' * 15}data/prepared/dataset.json: the same" in text
    # only the stages of its chain, in their order
    commands = [line.split()[1] for line in text.splitlines() if line.startswith("dino ")]
    assert commands == ["prepare", "pretrain", "export", "features", "knn"]
    assert f"dino pretrain --run {RUN}" in text
    assert "c0ffee" * 6 + "c0ff, with changes that were not committed (knn)" in text
    assert "AMD, 2 cores, Linux x86_64, host vm" in text
    assert "packages   python 3.11.7, torch 2.14.1" in text
    for parameter in (
        "prepare.seed: 0",
        "pretrain.optimizer.learning_rate: 0.0005",
        "knn.headline: 20",
    ):
        assert f"  {parameter}\n" in text + "\n"
    assert "architectures.vit_micro_7.patch_size_px: 7" in text
    assert "linear.epochs" not in text
    assert "parameters, as params.yaml still has them" in text


@pytest.mark.parametrize(
    ("asked", "value"),
    [
        (f"accuracy:{RUN}:knn_top1", "knn_top1 = 78.0 [77.0, 79.0]"),
        (f"results/tables/accuracy.csv:{RUN}:knn_top1", "knn_top1 = 78.0 [77.0, 79.0]"),
        (f"results/tables/accuracy.md:dino,{RUN}:knn_top1", "knn_top1 = 78.0 [77.0, 79.0]"),
        ("accuracy:raw_pixels:knn_top1", "knn_top1 = 84.6 [83.6, 85.6]"),
        ("accuracy:5:knn_top1", "knn_top1 = 84.6 [83.6, 85.6]"),
        (f"accuracy:{RUN}:knn_minus_raw_pixels", "knn_minus_raw_pixels = -6.60"),
        (f"attention:{RUN}:low", "attention_jaccard_low = "),
        (f"attention:{RUN}: paper@0.8:low", "low = "),
        ("attention:otsu's:attention_jaccard", "attention_jaccard = 80.0 [79.0, 81.0]"),
        ("low_shot:raw_pixels,10_%:test_top1", "low_shot_10_top1 = 70.1 [69, 71]"),
        (f"runs.{RUN}.knn_top1", f"runs.{RUN}.knn_top1 = 78.0 [77.0, 79.0]"),
        (f"results/summary.json:runs.{RUN}.knn_top1", f"runs.{RUN}.knn_top1 = 78.0 [77.0, 79.0]"),
        ("baselines.raw_pixels.knn_top1", "baselines.raw_pixels.knn_top1 = 84.6 [83.6, 85.6]"),
        (f"results/runs/{RUN}/knn.json:random_init.val.20.top1", "random_init.val.20.top1 = 71.0"),
        (f"results/runs/{RUN}/knn.json", "knn.json"),
        ("results/baselines.json", "baselines.json"),
        ("results/summary.json", "summary.json"),
        ("results/provenance.json", "provenance.json"),
        (RUN, f"run {RUN}"),
        ("parameters:knn.headline:value", "knn.headline = 20"),
    ],
)
def test_every_way_of_asking_gets_an_answer(project: Project, asked: str, value: str) -> None:
    assert _said(project, asked).splitlines()[0].startswith(value)


def test_a_mean_names_each_of_its_runs(project: Project) -> None:
    text = _said(project, "baselines.random_init.knn_top1")
    for architecture, top1 in (("vit_micro_7", 70), ("vit_nano_7", 72)):
        file = f"results/runs/{architecture}-dino-s1/knn.json"
        assert f"{file}: random_init.test.20.top1 = {top1}" in text
    # the commit is told once, the dirty one of a stage that all runs share
    assert text.count("c0ffee" * 6) == 2


def test_a_table_alone_names_its_rows_and_columns(project: Project) -> None:
    text = _said(project, "results/tables/low_shot.csv")
    assert f"row 1: DINO, {RUN}, 1 %" in text
    assert "columns: features, share, images" in text


def test_every_cell_of_every_table_is_explained(project: Project) -> None:
    for path in sorted((project.results / "tables").glob("*.csv")):
        columns, first = path.read_text().splitlines()[:2]
        assert first
        for column in columns.split(","):
            text = _said(project, f"{path.stem}:1:{column}")
            assert path.stem == PARAMETERS or "dino pretrain --run vit_micro_7-dino-s1" in text


def test_every_table_and_figure_says_which_stages_it_shows(
    results: Results, project: Project
) -> None:
    summary = summarise(results)
    parameters = read_parameters(project.parameters)
    tables = all_tables(results, summary, parameters)
    names = [x.name for x in (*tables, *all_pictures(results, summary, prototypes=1024))]
    assert [name for name in names if not stages_of(name)] == [PARAMETERS]
    figure = project.results / "figures" / "training_curves.png"
    write_text(figure, "a picture")
    text = _said(project, str(figure))
    assert f"dino pretrain --run {RUN}" in text
    assert "dino knn" not in text


def test_what_covers_everything_names_every_command(project: Project) -> None:
    text = _said(project, "results/provenance.json")
    for stage in (*PER_RUN, "prepare", "baselines"):
        assert f"\ndino {stage}" in text


def test_a_score_is_named_after_the_stage_that_alone_moves_it(project: Project) -> None:
    runs = read_parameters(project.parameters).all_runs()
    before = summarise(read_results(project, runs))["runs"][RUN]
    for stage in PER_RUN:
        path = project.run(RUN).result(stage)
        if not path.is_file():
            continue
        text = path.read_text()
        write_json(path, _halved(json.loads(text)))
        after = summarise(read_results(project, runs))["runs"][RUN]
        write_text(path, text)
        moved = {name for name in before if before[name] != after[name]}
        assert moved == {name for name in before if stage_of(name) == stage}
        assert moved


def _halved(value: Any) -> Any:
    """Every measured number as half of what it is; the parameters among them are whole numbers."""
    if isinstance(value, dict):
        return {k: v if k == "fraction" else _halved(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_halved(item) for item in value]
    return value / 2 if isinstance(value, float) else value


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
    text = _said(project, f"{RUN}:knn_top1")
    assert f"artifacts/{RUN}/checkpoint.pth: absent" in text


def test_parameters_that_changed_since_are_named(project: Project) -> None:
    path = project.parameters
    path.write_text(path.read_text().replace("digits}", "digits, seed: 3}") + "knn: {headline: 10}")
    text = _said(project, f"{RUN}:knn_top1")
    assert "params.yaml has changed since: prepare.seed 0 -> 3; knn.headline 20 -> 10" in text
    # those of other stages are no concern of a number
    assert "prepare.seed 0 -> 3\n" in _said(project, f"{RUN}:linear_top1")
    path.write_text(path.read_text().replace("seed: [1]", "seed: [0]"))
    text = _said(project, f"{RUN}:knn_top1")
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


def test_stages_that_saw_different_models_are_said(project: Project) -> None:
    for path in (project.run(RUN).provenance("knn"),):
        record = read_json(path)
        record["models"]["teacher"] = "00" * 32
        write_json(path, record)
    _report(project)
    text, holds = explanation(project, f"{RUN}:knn_top1")
    assert not holds
    assert "DIFFERS between the stages" in text
    assert "knn 000000000000" in text


def test_a_record_is_explained_without_its_artifacts(project: Project) -> None:
    record = project.root / "records" / "first"
    record.mkdir(parents=True)
    for name in ("summary.json", "provenance.json"):
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
        text = _said(project, asked)
        assert "knn_top1 = 78.0 [77.0, 79.0]" in text.splitlines()[0]
        assert f"records/first/runs/{RUN}/knn.json: not kept here" in text
        assert "not kept with the record" in text
        assert "parameters, as records/first/params.yaml still has them" in text
        assert f"dino pretrain --run {RUN}" in text


@pytest.mark.parametrize(
    ("asked", "known"),
    [
        ("vit_micro_7-dino-s9", f"expected a run ({RUN}, vit_nano_7-dino-s1),"),
        (f"{RUN}:knn_top2", "knn_top1, knn_top5, knn_val_top1, linear_best_top1,"),
        ("runs.vit_micro_7.knn_top1", f"no vit_micro_7 in runs; known: {RUN}, vit_nano_7-dino-s1"),
        (f"accuracy:{RUN}:knn", "no column knn; known: features, knn_top1"),
        ("accuracy:pixels,and,more:knn_top1", "known: 1: DINO, vit_micro_7-dino-s1; 2: DINO"),
        ("accuracy:dino:knn_top1", "dino names several rows (1: DINO, vit_micro_7-dino-s1; 2:"),
        (f"accuracy:{RUN}", "expected a column too"),
        ("results/tables/accurate.csv:1:knn_top1", "results/tables/accurate.csv: no such file"),
        (f"results/runs/{RUN}/knn.json:teacher.test.21.top1", "no 21 of teacher.test.21.top1"),
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


def test_before_the_first_report_a_result_file_is_explained(project: Project) -> None:
    for name in ("provenance.json", "summary.json"):
        (project.results / name).unlink()
    assert f"dino knn --run {RUN}" in _said(project, f"results/runs/{RUN}/knn.json")
    with pytest.raises(DinoError, match=r"summary.json: not found; run the stage"):
        explanation(project, RUN + ":knn_top1")
