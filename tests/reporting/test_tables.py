import io
import re
from dataclasses import dataclass

import pandas as pd
import pytest

from dino.core.configuration.section import section
from dino.reporting.results import Results
from dino.reporting.summary import summarise
from dino.reporting.table import MINUS, NOT_MEASURED, Table
from dino.reporting.tables.accuracy import accuracy_table
from dino.reporting.tables.attention import attention_table
from dino.reporting.tables.catalogue import all_tables
from dino.reporting.tables.low_shot import low_shot_table
from dino.reporting.tables.parameters import parameter_table


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


def test_accuracy_of_each_run_stands_beside_its_differences(results: Results) -> None:
    rows = _read_csv(accuracy_table(results, summarise(results)))
    row = rows.loc["DINO, vit_micro_7-dino-s0"]
    assert row["knn_top1"] == 77.0
    assert row["knn_minus_random_init"] == 7.5
    assert row["knn_minus_raw_pixels"] == -7.6
    assert row["linear_minus_raw_pixels"] == -7.6
    assert row["against_raw_pixels"] == "k-NN below, linear below"
    assert rows.loc["raw pixels", "knn_top1"] == 84.6
    assert rows.loc["random init, vit_nano_7", "linear_top1"] == 72.5


def test_the_csv_holds_the_summarys_numbers(results: Results) -> None:
    summary = summarise(results)
    rows = _read_csv(accuracy_table(results, summary))
    for name, scores in summary["runs"].items():
        for key in ("knn_top1", "knn_top5", "knn_val_top1", "linear_top1", "linear_best_top1"):
            assert rows.loc[f"DINO, {name}", key] == scores[key]


def test_an_interval_stands_in_its_numbers_cell_and_in_columns_of_the_csv(
    results: Results,
) -> None:
    table = accuracy_table(results, summarise(results))
    row = _read_csv(table).loc["DINO, vit_micro_7-dino-s0"]
    assert (row["knn_top1_low"], row["knn_top1_high"]) == (76.0, 78.0)
    assert row["linear_paper_top1"] == 79.0
    assert "77.00 [76.00, 78.00]" in table.markdown() and "77.00 [76.00, 78.00]" in table.latex()
    assert "k-NN top-1, low" not in table.header()
    assert len(table.header()) == len(table.numeric()) == len(table.rows()[0])


def test_low_shot_has_a_row_for_each_share_and_kind_of_features(results: Results) -> None:
    table = low_shot_table(results, summarise(results))
    rows = table.frame.set_index(["features", "share"])
    assert len(rows) == 2 * (4 + 2 + 1)
    teacher = rows.loc[("DINO, vit_micro_7-dino-s0", "10 %")]
    assert (teacher["test_top1"], teacher["deviation"]) == (67.1, 0.5)
    assert (teacher["images"], teacher["draws"]) == ("100", "5")
    assert rows.loc[("random init, vit_micro_7", "1 %"), "test_top1"] == 57.51
    assert rows.loc[("raw pixels", "1 %"), "test_top1"] == 70.01


def test_without_labels_tables_are_empty_and_say_why(no_labels: Results) -> None:
    summary = summarise(no_labels)
    for table in (accuracy_table(no_labels, summary), low_shot_table(no_labels, summary)):
        assert table.frame.select_dtypes("number").isna().all(axis=None)
        assert "Not measured: the data set has no labels." in table.caption
        assert "nan" not in table.markdown() + table.latex() + table.csv()


def test_attention_stands_beside_random_init_box_and_otsu(results: Results) -> None:
    table = attention_table(results, summarise(results))
    rows = _read_csv(table)
    assert rows.loc["DINO attention, vit_micro_7-dino-s0", "attention_jaccard"] == 45.0
    assert rows.loc["DINO attention, vit_micro_7-dino-s0", "minus_random_init"] == 12.0
    assert rows.loc["DINO attention, vit_micro_7-dino-s0", "best_single_head"] == 40.0
    assert rows.loc["random-init attention, vit_micro_7", "best_single_head"] == 27.0
    assert rows.loc["centre box", "attention_jaccard"] == 51.24
    assert rows.loc["Otsu's threshold", "attention_jaccard"] == 80.0
    assert "1000 images of test at 56 px, 60 % of the attention's mass" in table.caption


def test_missing_attention_is_empty_and_says_why(no_attention: Results) -> None:
    table = attention_table(no_attention, summarise(no_attention))
    row = _read_csv(table).loc["DINO attention, resnet50-dino-s0"]
    assert pd.isna(row["attention_jaccard"])
    assert row["note"] == "resnet50 has no [CLS] token"
    assert "nan" not in table.markdown() + table.latex() + table.csv()


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


@pytest.mark.parametrize("which", [0, 1, 2, 3])
def test_latex_is_balanced_escaped_and_as_wide_as_it_says(results: Results, which: int) -> None:
    table = all_tables(results, summarise(results), _Outer())[which]
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
