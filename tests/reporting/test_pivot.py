"""A table is declared: which scores stand in its columns, and what they are compared with."""

from dataclasses import replace

import pandas as pd
import pytest

from dino.core.paths import RANDOM_INIT, TEACHER
from dino.reporting.kinds import features_of
from dino.reporting.results import Results
from dino.reporting.tables.pivot import Column, Pivot, estimate

SILHOUETTE = Pivot(
    name="silhouette",
    caption="How well the classes are apart.",
    columns={
        "silhouette": Column("Silhouette", key="silhouette"),
        "above": Column("Above random init", key="silhouette", minus=RANDOM_INIT),
    },
)


@pytest.fixture
def measured(results: Results) -> Results:
    """With a new evaluation: seed s of a teacher has s + 0.5, each random init 0.25."""
    runs = tuple(
        replace(
            run,
            rows=(*run.rows, _row(TEACHER, run.seed + 0.5), _row(RANDOM_INIT, 0.25)),
        )
        for run in results.runs
    )
    return replace(results, runs=runs)


def _row(model: str, value: float) -> dict[str, object]:
    return {
        "evaluation": "silhouette",
        "model": model,
        "setting": "split=test",
        "metric": "silhouette",
        "value": value,
        "low": value - 0.1,
        "high": value + 0.1,
        "n": 597,
        "unit": "",
        "key": "silhouette",
    }


def test_new_evaluation_has_a_table_by_its_declaration(measured: Results) -> None:
    table = SILHOUETTE.table(measured)
    rows = table.frame.set_index("features")
    teacher = rows.loc["teacher, vit_micro_7-dino, 2 seeds"]
    assert teacher["silhouette"] == 1.0
    assert (teacher["silhouette_low"], teacher["silhouette_high"]) == (0.9, 1.1)
    assert teacher["silhouette_sd"] == 0.71
    assert teacher["above"] == 0.75
    assert rows.loc["random init, vit_nano_7", "silhouette"] == 0.25
    assert pd.isna(rows.loc["random init, vit_nano_7", "above"])
    assert table.header() == ["Features", "Silhouette", "Above random init"]
    assert table.caption.startswith("How well the classes are apart.")


def test_only_features_that_have_a_score_have_a_row(measured: Results) -> None:
    assert list(SILHOUETTE.table(measured).frame["features"]) == [
        "teacher, vit_micro_7-dino, 2 seeds",
        "teacher, vit_nano_7-dino, 2 seeds",
        "random init, vit_micro_7",
        "random init, vit_nano_7",
    ]


def test_each_value_of_a_setting_has_rows_of_its_own(results: Results) -> None:
    by_k = Pivot(
        name="neighbours",
        caption="",
        columns={
            "top1": Column("Top-1", where={"evaluation": "knn", "split": "test", "metric": "top1"}),
        },
        by={"k": "k"},
    )
    rows = by_k.table(results).frame.set_index(["features", "k"])
    assert list(rows.index.get_level_values("k").unique()) == ["10", "20"]
    assert rows.loc[("raw pixels", "20"), "top1"] == 84.6
    assert rows.loc[("raw pixels", "10"), "top1"] == 84.1


def test_seeds_share_a_name_and_given_weights_are_called_so(results: Results) -> None:
    scores = results.scores
    first = scores[scores["run"] == results.runs[0].name]
    assert set(features_of(scores, given=())) == {
        "teacher, vit_micro_7-dino, 2 seeds",
        "teacher, vit_nano_7-dino, 2 seeds",
        "random init, vit_micro_7",
        "random init, vit_nano_7",
        "raw pixels",
        "centre box",
        "Otsu's threshold",
    }
    assert set(features_of(first, given={results.runs[0].name})) == {
        f"given weights, {results.runs[0].name}",
        "random init, vit_micro_7",
    }


def test_mean_leaves_out_what_was_not_measured() -> None:
    rows = pd.DataFrame(
        {"model": TEACHER, "value": [1.0, None, 2.0], "low": [None] * 3, "high": [None] * 3}
    ).astype({"low": float, "high": float})
    assert estimate(rows) == {"value": 1.5, "low": None, "high": None, "sd": 0.71}
    assert estimate(rows[rows["value"].isna()])["value"] is None
