"""k-NN and linear accuracy beside the baselines."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from dino.core.paths import RANDOM_INIT, RAW_PIXELS, TEACHER
from dino.reporting.results import Results
from dino.reporting.tables.pivot import Column, Pivot, estimate
from dino.reporting.verdict import side

_CLASSIFIERS = {"k-NN": "knn_top1", "linear": "linear_top1"}
_EVALUATIONS = ("knn", "linear", "linear_paper")
COLUMNS = {
    "knn_top1": Column("k-NN top-1", key="knn_top1"),
    "knn_minus_random_init": Column("k-NN above random init", key="knn_top1", minus=RANDOM_INIT),
    "knn_minus_raw_pixels": Column("k-NN above raw pixels", key="knn_top1", minus=RAW_PIXELS),
    "knn_top5": Column("k-NN top-5", key="knn_top5"),
    "knn_val_top1": Column("k-NN top-1 on val", key="knn_val_top1"),
    "linear_top1": Column("Linear, last epoch", key="linear_top1"),
    "linear_minus_random_init": Column(
        "Linear above random init", key="linear_top1", minus=RANDOM_INIT
    ),
    "linear_minus_raw_pixels": Column(
        "Linear above raw pixels", key="linear_top1", minus=RAW_PIXELS
    ),
    "linear_best_top1": Column("Linear, best on val", key="linear_best_top1"),
    "linear_paper_top1": Column(
        "Linear by the paper's protocol, last epoch", key="linear_paper_top1"
    ),
    "linear_paper_best_top1": Column(
        "Linear by the paper's protocol, best on val", key="linear_paper_best_top1"
    ),
}


def _caption(results: Results) -> str:
    reasons = {name: results.reason(name) for name in _EVALUATIONS}
    not_measured = "".join(
        f" Not measured: {name} ({reason})." for name, reason in reasons.items() if reason
    )
    of_seeds = ""
    if results.has_seeds:
        of_seeds = (
            ", and the 95 % interval of the seeds' differences (Student's t) does not hold zero"
        )
    return (
        "Accuracy in percent on the test split unless val is named, differences in points. "
        f"Brackets: 95 % bootstrap interval over the images. k-NN with k = {results.headline}. "
        "Linear classifiers are scored after their last epoch; the epoch that was best on val "
        "stands beside it. They see features of centre crops, by the paper's protocol those of "
        f"new random crops in each epoch. Random init is {results.random_init_is}, the mean "
        f"over its seeds. Above and below: the intervals do not overlap{of_seeds}."
        f"{not_measured}{results.not_trained}"
    )


def _shown(results: Results) -> dict[str, Column]:
    """The columns, with top-5 named after what it is, or left out where it says nothing.

    Of k neighbours at most k classes have a vote, and of 5 classes the first 5 are all.
    """
    best = min(5, int(results.headline)) if results.headline.isdecimal() else 5
    columns = COLUMNS | {"knn_top5": Column(f"k-NN top-{best}", key="knn_top5")}
    if best == 1 or len(results.dataset["classes"]) <= best:
        del columns["knn_top5"]
    return columns


def _against_raw_pixels(_: Results, scores: pd.DataFrame, own: pd.DataFrame) -> dict[str, Any]:
    """Where the accuracies lie beside those of raw pixels, in words."""
    pixels = scores[scores["model"] == RAW_PIXELS]
    if set(own["model"]) == {RAW_PIXELS}:
        return {}
    sides = {label: _side(own, pixels, key) for label, key in _CLASSIFIERS.items()}
    return {"against_raw_pixels": ", ".join(f"{k} {side}" for k, side in sides.items() if side)}


def _side(of_features: pd.DataFrame, pixels: pd.DataFrame, key: str) -> str | None:
    ours, theirs = (rows[rows["key"] == key] for rows in (of_features, pixels))
    seeds = ours["value"].dropna().tolist() if set(ours["model"]) == {TEACHER} else []
    found = side(_named(ours, key), _named(theirs, key), key, seeds)
    return None if found is None else found.removesuffix(" from")


def _named(rows: pd.DataFrame, key: str) -> Mapping[str, Any]:
    mean = estimate(rows)
    return {key: mean["value"], f"{key}_low": mean["low"], f"{key}_high": mean["high"]}


ACCURACY = Pivot(
    name="accuracy",
    caption=_caption,
    columns=COLUMNS,
    evaluations=_EVALUATIONS,
    shown=_shown,
    words={"against_raw_pixels": "Against raw pixels"},
    more=_against_raw_pixels,
)
"""k-NN and linear accuracy beside the baselines'."""
