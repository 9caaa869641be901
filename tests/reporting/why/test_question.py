"""`dino why` leads from any number of the report to the run, the files and the parameters."""

import json
from typing import Any

import pytest
from explained import said

from dino.core.artifacts import read_json, sha256_of_file, write_json, write_text
from dino.core.configuration.parameters import read_parameters
from dino.core.paths import Project
from dino.core.stages import PER_RUN
from dino.reporting.figures.catalogue import all_pictures
from dino.reporting.reading import read_results
from dino.reporting.results import Results
from dino.reporting.summary import summarise
from dino.reporting.tables.catalogue import all_tables
from dino.reporting.why.cells import PARAMETERS, stages_of
from dino.reporting.why.evidence import stage_of

RUN = "vit_micro_7-dino-s1"
FINGERPRINT = "ab" * 32


def test_a_score_leads_to_its_file_and_everything_that_it_was_made_from(project: Project) -> None:
    text = said(project, f"{RUN}:knn_top1")
    assert text.splitlines()[0] == f"runs.{RUN}.knn_top1 = 78.0 [77.0, 79.0]"
    assert f"results/runs/{RUN}/knn.json: teacher, split=test, k=20, top1 = 78" in text
    paths = project.run(RUN)
    for path in (paths.checkpoint, paths.model("teacher") / "model.safetensors"):
        assert f"{sha256_of_file(path)}\n{' ' * 15}{path}: the same" in text
    assert f"{FINGERPRINT}\n{' ' * 15}data/digits/dataset.json: the same" in text
    # only the stages of its chain, in their order
    commands = [line.split()[1] for line in text.splitlines() if line.startswith("dino ")]
    assert commands == ["prepare", "pretrain", "export", "features", "knn"]
    assert f"dino pretrain --run {RUN}" in text
    assert "c0ffee" * 6 + "c0ff, with changes that were not committed (knn)" in text
    assert "AMD, 2 cores, Linux x86_64, host vm" in text
    assert "packages   python 3.11.7, torch 2.14.1" in text
    for parameter in (
        "datasets.digits.seed: 0",
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
        (f"results/tables/accuracy.md:teacher,{RUN}:knn_top1", "knn_top1 = 78.0 [77.0, 79.0]"),
        ("accuracy:raw_pixels:knn_top1", "knn_top1 = 84.6 [83.6, 85.6]"),
        ("accuracy:5:knn_top1", "knn_top1 = 84.6 [83.6, 85.6]"),
        (f"accuracy:{RUN}:knn_minus_raw_pixels", "knn_minus_raw_pixels = -6.60"),
        (f"attention:{RUN},paper,0.6:attention_jaccard_low", "attention_jaccard_low = "),
        (f"attention:{RUN},paper,0.8:attention_jaccard", "attention_jaccard = 46.00"),
        ("attention:otsu's:attention_jaccard", "attention_jaccard = 80.0 [79.0, 81.0]"),
        ("low_shot:raw_pixels,10%:test_top1", "low_shot_10_top1 = 70.1 [69.0, 71.0]"),
        (f"runs.{RUN}.knn_top1", f"runs.{RUN}.knn_top1 = 78.0 [77.0, 79.0]"),
        (f"results/summary.json:runs.{RUN}.knn_top1", f"runs.{RUN}.knn_top1 = 78.0 [77.0, 79.0]"),
        ("baselines.raw_pixels.knn_top1", "baselines.raw_pixels.knn_top1 = 84.6 [83.6, 85.6]"),
        (f"results/runs/{RUN}/low_shot.json:drawn.10%.0", "drawn.10%.0 = 100"),
        (f"results/runs/{RUN}/knn.json", "knn.json"),
        ("results/baselines.json", "baselines.json"),
        ("results/summary.json", "summary.json"),
        ("results/provenance.json", "provenance.json"),
        ("results/scores.csv", "scores.csv"),
        ("results/tables", "tables"),
        (RUN, f"run {RUN}"),
        ("parameters:knn.headline:value", "knn.headline = 20"),
    ],
)
def test_every_way_of_asking_gets_an_answer(project: Project, asked: str, value: str) -> None:
    assert said(project, asked).splitlines()[0].startswith(value)


def test_a_mean_names_each_of_its_runs(project: Project) -> None:
    text = said(project, "baselines.random_init.knn_top1")
    for architecture, top1 in (("vit_micro_7", 70), ("vit_nano_7", 72)):
        file = f"results/runs/{architecture}-dino-s1/knn.json"
        assert f"{file}: random_init, split=test, k=20, top1 = {top1}" in text
    # the commit is told once, the dirty one of a stage that all runs share
    assert text.count("c0ffee" * 6) == 2


def test_a_table_alone_names_its_rows_and_columns(project: Project) -> None:
    text = said(project, "results/tables/low_shot.csv")
    assert f"row 1: teacher, {RUN}, 1%" in text
    assert "columns: features, labels, test_top1" in text


def test_every_cell_of_every_table_is_explained(project: Project) -> None:
    paths = sorted((project.results / "tables").glob("*.csv"))
    assert len(paths) >= 18
    for path in paths:
        columns, *rows = path.read_text().splitlines()
        if not rows:
            continue  # nothing of it is measured in these tests
        for column in columns.split(","):
            text = said(project, f"{path.stem}:1:{column}")
            measured = path.stem != PARAMETERS and not column.startswith(("paper", "reference"))
            assert ("dino pretrain --run vit_micro_7-dino-s1" in text) == measured
            assert ("reporting/paper.csv" in text) == path.stem.startswith("paper_")


def test_a_figure_is_found_by_its_name(project: Project) -> None:
    write_text(project.results / "figures" / "training_curves.png", "drawn")
    text = said(project, "training_curves")
    assert text.startswith("training_curves\n")
    assert "dino pretrain --run vit_micro_7-dino-s1" in text


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
    text = said(project, str(figure))
    assert f"dino pretrain --run {RUN}" in text
    assert "dino knn" not in text


def test_what_covers_everything_names_every_command(project: Project) -> None:
    text = said(project, "results/provenance.json")
    for stage in (*PER_RUN, "prepare", "baselines"):
        assert f"\ndino {stage}" in text


def test_a_score_is_named_after_the_stage_that_alone_moves_it(project: Project) -> None:
    parameters = read_parameters(project.parameters)
    before = summarise(read_results(project, parameters))["runs"][RUN]
    for stage in PER_RUN:
        path = project.run(RUN).result(stage)
        if not path.is_file() or not read_json(path)["scores"]:
            continue
        text = path.read_text()
        write_json(path, _halved(json.loads(text)))
        after = summarise(read_results(project, parameters))["runs"][RUN]
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
