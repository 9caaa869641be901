import hashlib
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dino.core.artifacts import read_json, write_json
from dino.core.configuration.parameters import read_parameters
from dino.core.errors import DinoError
from dino.core.paths import Project
from dino.core.stages import PER_RUN
from dino.reporting.figures.catalogue import all_pictures
from dino.reporting.page import page
from dino.reporting.results import Results
from dino.reporting.summary import summarise
from dino.reporting.tables.catalogue import PIVOTS, all_tables, timed_tables
from dino.stages.report import execute

TIMED = ("paper_crops", "paper_throughput")
PAPER = (
    "paper_main",
    "paper_components",
    "paper_teacher",
    "paper_centering",
    "paper_batch_size",
    "paper_prototypes",
    "paper_center_momentum",
    "paper_temperature",
    "paper_low_shot",
    "paper_attention",
    "paper_other",
)
PROVENANCE: dict[str, Any] = {"runs": {}}
OUTPUTS = {
    "summary.json",
    "provenance.json",
    "metrics.json",
    "scores.csv",
    "scores.parquet",
    "report.html",
    *(
        f"tables/{table}.{kind}"
        for table in (
            *PIVOTS,
            "parameters",
            *PAPER,
            *TIMED,
        )
        for kind in ("csv", "md", "tex")
    ),
    *(
        f"{folder}/{figure}.{kind}"
        for figure in (
            "training_curves",
            "accuracy",
            "collapse",
            "attention_maps",
            "attention_ranking",
            "class_map",
            "robustness",
        )
        for folder, kind in (("figures", "png"), ("figures_svg", "svg"))
    ),
}


class _Outline(HTMLParser):
    """Collects what a page consists of, and checks that its elements nest."""

    EMPTY = ("meta", "img", "input", "path", "rect")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.headings: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = dict(attributes)
        if tag not in self.EMPTY:
            self.open.append(tag)
        if identifier := values.get("id"):
            self.ids.append(identifier)
        self.links += [v for k, v in values.items() if k in ("href", "src") and v]
        if tag == "img":
            self.images.append(values)
        if re.fullmatch(r"h\d", tag):
            self.headings.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.EMPTY:
            assert self.open.pop() == tag


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory, projects: Callable[..., Project]) -> Project:
    project = projects(tmp_path_factory.mktemp("reported"))
    execute(project, read_parameters(project.parameters))
    return project


@pytest.fixture(scope="module")
def html(reported: Project) -> str:
    return (reported.results / "report.html").read_text()


@pytest.fixture(scope="module")
def outline(html: str) -> _Outline:
    outline = _Outline()
    outline.feed(html)
    return outline


def _without_data(html: str) -> str:
    """The page without what is encoded in it, which may spell any word."""
    html = re.sub(r'(<script type="application/json"[^>]*>).*?(</script>)', r"\1\2", html)
    return re.sub(r"data:[^\"]*", "", html)


def _checksums(folder: Path) -> dict[str, str]:
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in OUTPUTS}


def test_a_second_execution_writes_the_same_bytes(reported: Project) -> None:
    before = _checksums(reported.results)
    execute(reported, read_parameters(reported.parameters))
    assert _checksums(reported.results) == before


def test_nothing_but_the_declared_outputs_is_left(reported: Project) -> None:
    made = {
        str(path.relative_to(reported.results))
        for path in reported.results.rglob("*")
        if path.is_file() and not path.is_relative_to(reported.results / "runs")
    }
    inputs = {"baselines.json", "provenance/prepare/digits.json", "provenance/baselines.json"}
    assert made - inputs == OUTPUTS


def test_provenance_holds_every_stage_of_every_run(reported: Project) -> None:
    provenance = read_json(reported.results / "provenance.json")
    assert set(provenance) == {"prepare", "baselines", "runs"}
    assert len(provenance["runs"]) == 4
    for stages in provenance["runs"].values():
        assert set(stages) == set(PER_RUN)
    assert provenance["prepare"]["wall_seconds"] == 1.5


@pytest.mark.parametrize(
    ("changed", "reached"),
    [
        (
            {"images_per_second": 1.5, "wall_seconds": 9999.5, "machine": {"host": "elsewhere"}},
            {
                "provenance.json",
                *(f"tables/paper_throughput.{kind}" for kind in ("csv", "md", "tex")),
            },
        ),
        ({"git": {"commit": "9" * 40, "dirty": True}}, {"provenance.json", "report.html"}),
    ],
)
def test_times_and_hosts_reach_provenance_and_tables_of_times_commits_the_page(
    reported: Project, tmp_path: Path, changed: dict[str, Any], reached: set[str]
) -> None:
    shutil.copytree(reported.root, tmp_path, dirs_exist_ok=True)
    again = Project(root=tmp_path)
    provenance = again.run("vit_micro_7-dino-s0").provenance("features")
    write_json(provenance, read_json(provenance) | changed)
    execute(again, read_parameters(again.parameters))
    before, after = _checksums(reported.results), _checksums(again.results)
    assert {name for name in OUTPUTS if before[name] != after[name]} == reached


def test_the_tables_of_times_are_these(results: Results) -> None:
    stages = {"pretrain": {}, "features": {}}
    provenance = {"runs": {run.name: stages for run in results.runs}}
    tables = timed_tables(results, summarise(results), provenance)
    assert tuple(table.name for table in tables) == TIMED


def test_the_page_loads_nothing_from_elsewhere(html: str, outline: _Outline) -> None:
    assert {link.split(":")[0] for link in outline.links if ":" in link} == {"data"}
    beside = {link for link in outline.links if ":" not in link and not link.startswith("#")}
    assert beside == {"provenance.json", "summary.json"}
    assert "http" not in _without_data(html)
    assert (
        "@import" not in html and "url(#tip)" in html and html.count("url(") == html.count("url(#")
    )


def test_the_page_is_well_formed_and_its_anchors_exist(outline: _Outline) -> None:
    assert outline.open == []
    assert len(outline.ids) == len(set(outline.ids))
    assert {link[1:] for link in outline.links if link.startswith("#")} <= set(outline.ids)
    assert outline.headings[0] == "h1" and outline.headings.count("h1") == 1


def test_every_figure_has_words_in_its_place(outline: _Outline) -> None:
    assert len(outline.images) == 7
    assert all(len(image["alt"] or "") > 40 for image in outline.images)


def test_without_cls_attention_the_page_says_why(no_attention: Results) -> None:
    summary = summarise(no_attention)
    text = page(no_attention, summary, all_tables(no_attention, summary, {}), (), PROVENANCE)
    assert "resnet50-dino-s0 is not in the explorer: resnet50 has no [CLS] token." in text
    assert "<script" not in text


def test_the_page_shows_where_results_came_from_but_no_times_and_hosts(html: str) -> None:
    assert "<code>dino linear --run vit_nano_7-dino-s1</code>" in html
    assert "<code>0123456789 + changes</code>" in html
    assert "2.5 s" not in html and "a processor" not in html and "2026" not in _without_data(html)


def test_the_headline_is_made_of_the_numbers(html: str) -> None:
    assert (
        "vit_micro_7 (mean of 2 seeds): teacher k-NN top-1 77.50 %, 8.00 points above random init, "
        "7.10 points below raw pixels; linear top-1 78.50 %, 8.00 points above random init, "
        "7.10 points below raw pixels."
    ) in html
    assert "35.00 points below Otsu (80.00 %)" in html
    assert "± 0.71 over seeds" in html


def test_tables_of_the_paper_with_numbers_of_ours_are_on_the_page(html: str) -> None:
    shown = [name for name in (*PAPER, *TIMED) if f'id="table-{name}"' in html]
    assert shown == [
        "paper_main",
        "paper_components",
        "paper_teacher",
        "paper_centering",
        "paper_low_shot",
        "paper_attention",
        "paper_other",
    ]


def test_results_come_before_figures_tables_parameters_workflow_and_provenance(html: str) -> None:
    order = ("results", "explorer", "figures", "tables", "parameters", "workflow", "provenance")
    positions = [html.index(f'<section id="{name}"') for name in order]
    assert positions == sorted(positions)


def test_the_page_escapes_what_it_shows(one_run: Results) -> None:
    strange = replace(one_run, dataset={**one_run.dataset, "source": "<script>&"})
    summary = summarise(strange)
    text = page(strange, summary, all_tables(strange, summary, {"<b>": 1}), (), PROVENANCE)
    assert "<script>" not in text and "<b>" not in text
    assert "&lt;script&gt;&amp;" in text


def test_without_labels_the_page_shows_what_was_measured(no_labels: Results) -> None:
    summary = summarise(no_labels)
    tables = all_tables(no_labels, summary, {})
    text = page(
        no_labels, summary, tables, all_pictures(no_labels, summary, prototypes=64), PROVENANCE
    )
    assert "vit_micro_7: no accuracies, since the data set has no labels." in text
    assert "<li>Accuracy: Not measured: the data set has no labels.</li>" in text
    assert 'id="table-accuracy"' not in text and 'id="figure-robustness"' not in text
    assert 'id="figure-attention_maps"' in text
    assert "1000 images of digits, which have no labels" in text
    assert "None" not in _without_data(text) and "nan" not in tables[0].csv()
    assert "45.00 %" in text


def test_given_weights_are_not_said_to_be_trained(one_run: Results) -> None:
    (run,) = one_run.runs
    weights = {"timm": "vit_small_patch16_224.dino"}
    given = replace(one_run, runs=(replace(run, log=run.log.iloc[:0], weights=weights),))
    summary = summarise(given)
    tables, pictures = all_tables(given, summary, {}), all_pictures(given, summary, prototypes=64)
    text = _without_data(page(given, summary, tables, pictures, PROVENANCE))
    assert "Nothing was trained by DINO here." in text
    assert f"{run.name} (timm&#39;s vit_small_patch16_224.dino)" in text
    assert "Trained on" not in text and "trained teacher" not in text
    assert "DINO k-NN" not in text and "before its first step" not in text
    assert "Training curves: No training to show." in text
    for table in tables:
        if not table.name.startswith("paper_"):
            assert "teacher, " not in table.csv()


def _edit(project: Project, name: str, key: str, value: object) -> None:
    """Change one key of a result of the first run or, of baselines' provenance, the project's."""
    folder = project.run("vit_micro_7-dino-s0").results
    path = (project.results if name.endswith("baselines") else folder) / f"{name}.json"
    write_json(path, read_json(path) | {key: value})


def _by_seven_neighbours(project: Project) -> list[dict[str, Any]]:
    rows = read_json(project.run("vit_micro_7-dino-s0").result("knn"))["scores"]
    return [row | {"setting": row["setting"].replace("k=20", "k=7")} for row in rows]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda p: p.run("vit_micro_7-dino-s0").training_log.unlink(), r"pretrain\.csv: not found"),
        (lambda p: p.run("vit_micro_7-dino-s0").training_log.write_text(""), "not a table"),
        (lambda p: p.run("vit_micro_7-dino-s0").attention_maps.write_bytes(b"PK"), "damaged"),
        (lambda p: p.run("vit_micro_7-dino-s0").result("knn").unlink(), r"knn\.json: not found"),
        (
            lambda p: _edit(p, "knn", "scores", _by_seven_neighbours(p)),
            r"raw pixels have no knn_top1 by split=test, k=7, which vit_micro_7-dino-s0 has",
        ),
        (lambda p: _edit(p, "knn", "headline", None), r"knn\.json: headline: input should be"),
        (lambda p: _edit(p, "knn", "scores", [{}]), r"knn\.json: scores\.0\.model: field"),
        (
            lambda p: _edit(p, "attention", "teacher", {}),
            r"attention\.json: teacher\.heads: field",
        ),
        (
            lambda p: write_json(p.run("vit_micro_7-dino-s0").result("linear"), [1]),
            r"linear\.json: ",
        ),
        (
            lambda p: write_json(
                p.results / "baselines.json",
                {**read_json(p.results / "baselines.json"), "scores": []},
            ),
            r"raw pixels have no knn_top1 by split=test, k=20, which vit_micro_7-dino-s0 has",
        ),
        (
            lambda p: p.run("vit_micro_7-dino-s0").training_log.write_text("epoch,loss\n1,2\n"),
            r"pretrain\.csv: no column teacher_entropy",
        ),
        (
            lambda p: np.savez(p.run("vit_micro_7-dino-s0").attention_maps, image=np.zeros(1)),
            r"attention_maps\.npz: no array",
        ),
        (
            lambda p: _edit(p, "provenance/baselines", "data", "cd" * 32),
            r"provenance/baselines\.json: baselines was made from other images .* run `snakemake`",
        ),
        (
            lambda p: _edit(p, "provenance/knn", "parameters", {"knn": {"headline": 7}}),
            r"provenance/knn\.json: knn was made with knn\.\w+ = .*, and params\.yaml has",
        ),
        (
            lambda p: _edit(p, "provenance/knn", "models", {"teacher": "99" * 32}),
            r"vit_micro_7-dino-s0: teacher DIFFERS between the stages \(knn 9{12}, attention",
        ),
        (lambda p: (p.results / "tables").write_text("a file"), "cannot be written"),
    ],
)
def test_a_bad_file_is_named(
    damage: Callable[[Project], object],
    message: str,
    tmp_path: Path,
    projects: Callable[..., Project],
) -> None:
    project = projects(tmp_path, architectures=("vit_micro_7",), seeds=(0,))
    damage(project)
    with pytest.raises(DinoError, match=message) as error:
        execute(project, read_parameters(project.parameters))
    assert "\n" not in str(error.value)
    assert not (project.results / "summary.json").exists()
