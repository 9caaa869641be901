import io
import re
from dataclasses import dataclass, replace

import pandas as pd
import pytest

from dino.core.configuration.section import section
from dino.reporting.labels import LONGEST, labels
from dino.reporting.results import Results
from dino.reporting.summary import summarise
from dino.reporting.table import MINUS, NOT_MEASURED, Table
from dino.reporting.tables.accuracy import ACCURACY
from dino.reporting.tables.attention import ATTENTION
from dino.reporting.tables.catalogue import all_tables
from dino.reporting.tables.class_map import CLASS_MAP
from dino.reporting.tables.finetune import FINETUNE
from dino.reporting.tables.low_shot import LOW_SHOT
from dino.reporting.tables.parameters import parameter_table
from dino.reporting.tables.robustness import ROBUSTNESS
from dino.reporting.verdict import NOT_TOLD_APART, side


@section
class _Inner:
    name: str = "a_b|c"
    sizes: tuple[int, ...] = (1, 2)


@section
class _Outer:
    inner: _Inner = _Inner()
    path: str | None = None


def _read_csv(table: Table) -> pd.DataFrame:
    return pd.read_csv(io.StringIO(table.csv()), index_col=0)


def test_accuracy_of_each_group_stands_beside_its_differences(results: Results) -> None:
    rows = _read_csv(ACCURACY.table(results))
    row = rows.loc["teacher, vit_micro_7-dino, 2 seeds"]
    assert row["knn_top1"] == 77.5
    assert row["knn_minus_random_init"] == 8.0
    assert row["knn_minus_raw_pixels"] == -7.1
    assert row["linear_minus_raw_pixels"] == -7.1
    assert row["against_raw_pixels"] == "k-NN below, linear below"
    assert rows.loc["raw pixels", "knn_top1"] == 84.6
    assert rows.loc["random init, vit_nano_7", "linear_top1"] == 72.5


def test_the_csv_holds_the_summarys_numbers(results: Results) -> None:
    summary = summarise(results)
    rows = _read_csv(ACCURACY.table(results))
    for name, group in summary["groups"].items():
        scores = group["mean"]
        for key in ("knn_top1", "knn_top5", "knn_val_top1", "linear_top1", "linear_best_top1"):
            assert rows.loc[f"teacher, {name}, 2 seeds", key] == scores[key]


def test_an_interval_stands_in_its_numbers_cell_and_in_columns_of_the_csv(
    one_run: Results,
) -> None:
    table = ACCURACY.table(one_run)
    row = _read_csv(table).loc["teacher, vit_micro_7-dino-s0"]
    assert (row["knn_top1_low"], row["knn_top1_high"]) == (76.0, 78.0)
    assert row["linear_paper_top1"] == 79.0
    assert "77.00 [76.00, 78.00]" in table.markdown() and "77.00 [76.00, 78.00]" in table.latex()
    assert "k-NN top-1, low" not in table.header()
    assert len(table.header()) == len(table.numeric()) == len(table.rows()[0])


def test_several_seeds_have_their_deviation_in_place_of_the_interval(results: Results) -> None:
    table = ACCURACY.table(results)
    row = _read_csv(table).loc["teacher, vit_micro_7-dino, 2 seeds"]
    assert (row["knn_top1"], row["knn_top1_sd"]) == (77.5, 0.71)
    assert "77.50 ± 0.71 |" in table.markdown() and r"77.50 $\pm$ 0.71 &" in table.latex()
    assert "± the sample standard deviation" in table.caption


def test_one_seed_has_no_column_of_deviations(one_run: Results) -> None:
    summary = summarise(one_run)
    for table in all_tables(one_run, summary, _Outer()):
        if not table.name.startswith("paper_"):
            assert not any(name.endswith("_sd") for name in table.frame)
        assert "seeds, " not in table.markdown()


def test_low_shot_has_a_row_for_each_share_and_kind_of_features(results: Results) -> None:
    table = LOW_SHOT.table(results)
    rows = table.frame.set_index(["features", "labels"])
    assert len(rows) == 2 * (2 + 2 + 1)
    teacher = rows.loc[("teacher, vit_micro_7-dino, 2 seeds", "10%")]
    assert (teacher["test_top1"], teacher["deviation"]) == (67.6, 0.5)
    assert (teacher["images"], teacher["draws"]) == ("100", "5")
    assert rows.loc[("random init, vit_micro_7", "1%"), "test_top1"] == 57.51
    assert rows.loc[("raw pixels", "1%"), "test_top1"] == 70.01


def test_without_labels_tables_are_a_sentence_that_says_why(no_labels: Results) -> None:
    summary = summarise(no_labels)
    for table in all_tables(no_labels, summary, _Outer()):
        if table.name in ("attention", "parameters") or table.name.startswith("paper_"):
            continue
        assert table.markdown() == "Not measured: the data set has no labels.\n"
        assert table.latex() == "% Not measured: the data set has no labels.\n"
        assert table.csv().count("\n") == 1


def test_attention_stands_beside_random_init_box_and_otsu(results: Results) -> None:
    table = ATTENTION.table(results)
    rows = table.frame.set_index(["features", "protocol", "mass"]).sort_index()
    teacher = rows.loc[("teacher, vit_micro_7-dino, 2 seeds", "paper", "0.6")]
    assert (teacher["attention_jaccard"], teacher["attention_jaccard_low"]) == (45.0, 43.5)
    assert teacher["minus_random_init"] == 12.0
    assert teacher["best_single_head"] == 40.0
    random_init = rows.loc[("random init, vit_micro_7", "paper", "0.6")]
    assert random_init["best_single_head"] == 27.0
    assert rows.loc[("centre box", "", ""), "attention_jaccard"] == 51.24
    assert rows.loc[("centre box", "", ""), "attention_jaccard_high"] == 52.0
    assert rows.loc[("Otsu's threshold", "", ""), "attention_jaccard"] == 80.0
    assert "1000 images of test at 56 px; truth: approximate: non-zero pixels" in table.caption


def test_distances_of_classes_stand_beside_the_baselines(results: Results) -> None:
    table = CLASS_MAP.table(results)
    rows = _read_csv(table)
    assert rows.loc["teacher, vit_micro_7-dino, 2 seeds", "class_map_spearman"] == 0.65
    assert rows.loc["teacher, vit_micro_7-dino, 2 seeds", "class_map_spearman_low"] == 0.55
    assert rows.loc["random init, vit_nano_7", "class_map_spearman"] == 0.25
    assert rows.loc["raw pixels", "class_map_spearman_high"] == 0.6
    assert rows.loc["raw pixels", "highest"] == 0.87
    assert "on test (even: 0, 2, 4, 6, 8; odd: 1, 3, 5, 7, 9)" in table.caption


def test_without_labels_there_is_no_correlation_and_the_table_says_why(one_run: Results) -> None:
    unlabelled = _without(one_run, "class_map", "the data set has no labels")
    assert CLASS_MAP.table(unlabelled).absent == "Not measured: the data set has no labels."


def test_every_protocol_and_mass_has_a_row(results: Results) -> None:
    rows = ATTENTION.table(results).frame.set_index("features")
    of_run = rows.loc["teacher, vit_micro_7-dino, 2 seeds"]
    assert of_run[["protocol", "mass"]].to_numpy().tolist() == [
        [protocol, mass]
        for protocol in ("paper", "best_head_fixed", "mean_of_heads")
        for mass in ("0.6", "0.8")
    ]
    row = of_run[(of_run["protocol"] == "best_head_fixed") & (of_run["mass"] == "0.8")].iloc[0]
    assert (row["attention_jaccard"], row["minus_random_init"]) == (41.0, 13.0)
    assert pd.isna(row["best_single_head"])


def test_variants_beside_the_first_have_the_headline_protocol_alone(results: Results) -> None:
    first, second = results.runs[:2]
    two = replace(results, runs=(first, replace(second, variant="mse")))
    table = ATTENTION.table(two)
    names = list(_read_csv(table).index)
    assert len([name for name in names if "vit_micro_7-dino-s0" in name]) == 6
    assert len([name for name in names if "vit_micro_7-dino-s1" in name]) == 1
    assert "Other variants: the first protocol alone." in table.caption


def test_missing_attention_is_empty_and_says_why(no_attention: Results) -> None:
    table = ATTENTION.table(no_attention)
    row = _read_csv(table).loc["teacher, resnet50-dino-s0"]
    assert pd.isna(row["attention_jaccard"])
    assert row["note"] == "resnet50 has no [CLS] token"
    assert "nan" not in table.markdown() + table.latex() + table.csv()


def test_a_fine_tuned_teacher_stands_beside_from_scratch(results: Results) -> None:
    table = FINETUNE.table(results)
    rows = _read_csv(table)
    row = rows.loc["teacher, vit_micro_7-dino, 2 seeds"]
    assert row["finetune_top1"] == 79.5
    assert (row["finetune_top1_low"], row["finetune_top1_high"]) == (78.5, 80.51)
    assert row["minus_scratch"] == 22.0
    assert rows.loc["from scratch, vit_micro_7", "finetune_top1"] == 57.5
    assert "3 epochs on 500 labelled images" in table.caption
    assert "Layer decay 0.65 for the teacher and 1 from scratch." in table.caption


def test_each_corruption_is_the_mean_of_its_severities(results: Results) -> None:
    table = ROBUSTNESS.table(results)
    rows = _read_csv(table)
    row = rows.loc["teacher, vit_micro_7-dino, 2 seeds"]
    assert row["clean"] == 77.5
    assert [row[name] for name in ("noise", "blur", "contrast", "pixelate", "jpeg")] == [
        55.5, 56.5, 57.5, 58.5, 59.5,
    ]  # fmt: skip
    assert row["robustness_top1"] == 57.5
    assert row["relative_drop"] == round((100 * 20 / 77 + 100 * 20 / 78) / 2, 2)
    assert rows.loc["random init, vit_micro_7", "clean"] == 67.5
    assert rows.loc["raw pixels", "robustness_top1"] == 60.0
    assert "k = 20) in percent of 400 test images" in table.caption


def test_without_labels_the_tables_are_empty_and_say_why(one_run: Results) -> None:
    for pivot in (FINETUNE, ROBUSTNESS):
        shown = pivot.table(_without(one_run, pivot.name, "the data set has no labels"))
        assert shown.caption == "Not measured: the data set has no labels."
        assert shown.rows() == []


def test_parameters_are_flat_and_resolved() -> None:
    assert parameter_table(_Outer()).csv().splitlines() == [
        "parameter,value",
        'inner.name,"""a_b|c"""',
        'inner.sizes,"[1, 2]"',
        "path,null",
    ]


def test_markdown_has_equal_cells_in_every_line() -> None:
    lines = parameter_table(_Outer()).markdown().splitlines()
    assert lines[0] == "| Parameter | Value |"
    assert lines[2] == '| inner.name | "a_b\\|c" |'
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines[:5]} == {3}


def test_latex_is_balanced_escaped_and_as_wide_as_it_says(results: Results) -> None:
    tables = [t for t in all_tables(results, summarise(results), _Outer()) if t.absent is None]
    assert len(tables) >= 18
    for table in tables:
        _check_latex(table)


def _check_latex(table: Table) -> None:
    text = table.latex()
    for environment in ("table", "tabular"):
        assert text.count(f"\\begin{{{environment}}}") == text.count(f"\\end{{{environment}}}") == 1
    bare = re.sub(r"\\[%_&#${}]", "", text)
    assert bare.count("{") == bare.count("}")
    assert bare.count("$") % 2 == 0
    assert "%" not in bare and "#" not in bare
    assert text.isascii()
    body = bare[bare.index("\\toprule") : bare.index("\\bottomrule")]
    columns = len(table.header())
    assert {row.count("&") for row in body.split("\\\\")[:-1]} == {columns - 1}
    alignment = re.search(r"\\begin\{tabular\}\{(\w+)\}", text)
    assert alignment is not None and len(alignment[1]) == columns


def test_a_table_shows_signs_of_differences_only() -> None:
    @dataclass
    class _Row:
        score: float
        minus_baseline: float

    frame = pd.DataFrame([_Row(1.0, 2.0), _Row(3.0, -4.0), _Row(5.0, float("nan"))])
    table = Table(name="t", caption="", headings={}, frame=frame)
    assert table.rows() == [["1.00", "+2.00"], ["3.00", f"{MINUS}4.00"], ["5.00", NOT_MEASURED]]


def test_what_was_switched_off_has_no_column_but_a_sentence(one_run: Results) -> None:
    table = ACCURACY.table(_without(one_run, "linear", "linear.enabled is false in params.yaml"))
    assert not any(heading.startswith("Linear, ") for heading in table.header())
    assert "Not measured: linear (linear.enabled is false in params.yaml)." in table.caption


def _without(results: Results, stage: str, reason: str) -> Results:
    """`results` where `stage` measured nothing, for a reason."""
    runs = tuple(
        replace(
            run,
            details={**run.details, stage: {"reason": reason}},
            rows=tuple(row for row in run.rows if row["evaluation"] != stage),
        )
        for run in results.runs
    )
    scores = [row for row in results.baselines["scores"] if row["evaluation"] != stage]
    return replace(results, runs=runs, baselines={**results.baselines, "scores": scores})


@pytest.mark.parametrize(
    ("classes", "headline", "heading"),
    [(10, 20, "k-NN top-5"), (10, 3, "k-NN top-3"), (5, 20, None), (3, 20, None), (10, 1, None)],
)
def test_top5_is_named_after_what_it_is_or_left_out(
    one_run: Results, classes: int, headline: int, heading: str | None
) -> None:
    run = one_run.runs[0]
    knn = {**run.details["knn"], "headline": headline}
    run = replace(run, details={**run.details, "knn": knn})
    dataset = {**one_run.dataset, "classes": [str(i) for i in range(classes)]}
    results = replace(one_run, runs=(run,), dataset=dataset)
    shown = [name for name in ACCURACY.table(results).header() if "top-" in name]
    assert [name for name in shown if "top-1" not in name] == ([heading] if heading else [])


def test_scores_whose_intervals_overlap_are_not_told_apart(one_run: Results) -> None:
    as_teacher = [
        row | {"model": "raw_pixels"}
        for row in one_run.runs[0].rows
        if row["evaluation"] == "knn" and row["model"] == "teacher"
    ]
    scores = [row for row in one_run.baselines["scores"] if row["evaluation"] != "knn"]
    baselines = {**one_run.baselines, "scores": [*scores, *as_teacher]}
    rows = _read_csv(ACCURACY.table(replace(one_run, baselines=baselines)))
    row = rows.loc["teacher, vit_micro_7-dino-s0", "against_raw_pixels"]
    assert row == "k-NN not told apart, linear below"


def test_seeds_that_differ_more_than_they_lie_apart_are_not_told_apart() -> None:
    scores = {"top1": 77.0, "top1_low": 76.5, "top1_high": 77.5}
    baseline = {"top1": 70.0, "top1_low": 69.0, "top1_high": 71.0}
    assert side(scores, baseline, "top1") == "above"
    assert side(scores, baseline, "top1", [76.9, 77.0, 77.1]) == "above"
    assert side(scores, baseline, "top1", [60.0, 77.0, 94.0]) == NOT_TOLD_APART
    assert side(baseline, scores, "top1") == "below"
    assert side({"top1": None}, baseline, "top1") is None


def test_every_name_is_literal_in_markdown_and_latex() -> None:
    name = "a|b$_$ \\x {y} 100% #1 ~^ <b> `c` [d](e) *f* &amp;\nnext _g_ \u202egnol"
    table = Table(name="t", caption=name, headings={"n": "N"}, frame=pd.DataFrame({"n": [name]}))
    row = table.markdown().splitlines()[2]
    assert row == (
        r"| a\|b\$\_\$ \\x {y} 100% #1 \~^ \<b> \`c\` [d\](e) \*f\* \&amp; next \_g\_ gnol |"
    )
    assert len(table.markdown().splitlines()) == 5
    latex = table.latex()
    assert (
        r"a\textbar{}b\$\_\$ \textbackslash{}x \{y\} 100\% \#1 \textasciitilde{}"
        r"\textasciicircum{} \textless{}b\textgreater{}"
    ) in latex
    assert latex.isascii()
    with_letters = Table(
        name="t", caption="猫", headings={"n": "N"}, frame=pd.DataFrame({"n": ["猫"]})
    )
    assert with_letters.latex().startswith("% Letters beyond ASCII: XeLaTeX or LuaLaTeX")


def test_labels_are_short_and_different_and_numbers_are_explained() -> None:
    found = labels(["猫", "x" * 200, "x" * 199 + "y", "", "cafe\u0301", "a\n\tb"])
    assert len(set(found.drawn.values())) == 6
    assert all(len(label) <= LONGEST + len("[3] ") for label in found.drawn.values())
    assert (found.drawn["猫"], found.drawn[""]) == ("[1]", "[4]")
    assert (found.drawn["cafe\u0301"], found.drawn["a\n\tb"]) == ("café", "a b")
    assert found.note.startswith(" Numbers stand for names: [1] 猫; [2] xxx")
    assert "[4] (an empty name)." in found.note
    assert labels(["a", "é", "Ω"]).note == ""
