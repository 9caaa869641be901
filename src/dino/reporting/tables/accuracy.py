"""k-NN and linear accuracy beside the baselines."""

from collections.abc import Container
from typing import Any

from dino.reporting.kinds import RANDOM_INIT, RAW_PIXELS
from dino.reporting.results import Group, Results
from dino.reporting.scores import Scores
from dino.reporting.summary import difference, scores_of_group
from dino.reporting.table import Table, frame, nothing, with_intervals
from dino.reporting.verdict import side

HEADINGS = {
    "features": "Features",
    "knn_top1": "k-NN top-1",
    "knn_minus_random_init": "k-NN above random init",
    "knn_minus_raw_pixels": "k-NN above raw pixels",
    "knn_top5": "k-NN top-5",
    "knn_val_top1": "k-NN top-1 on val",
    "linear_top1": "Linear, last epoch",
    "linear_minus_random_init": "Linear above random init",
    "linear_minus_raw_pixels": "Linear above raw pixels",
    "linear_best_top1": "Linear, best on val",
    "linear_paper_top1": "Linear by the paper's protocol, last epoch",
    "linear_paper_best_top1": "Linear by the paper's protocol, best on val",
    "against_raw_pixels": "Against raw pixels",
}
_MEASURED = (
    "knn_top1",
    "knn_top5",
    "knn_val_top1",
    "linear_top1",
    "linear_best_top1",
    "linear_paper_top1",
    "linear_paper_best_top1",
)


def accuracy_table(results: Results, summary: dict[str, Any]) -> Table:
    """One row a group, then a row a baseline: k-NN and linear accuracy beside the baselines'."""
    raw_pixels = summary["baselines"]["raw_pixels"]
    random_init = summary["baselines"]["random_init"]["by_architecture"]
    columns = with_intervals(_headings(results), _MEASURED, results.has_seeds)
    reasons = {stage: results.reason(stage) for stage in ("knn", "linear", "linear_paper")}
    if None not in reasons.values():
        return nothing("accuracy", str(reasons["knn"]), columns)
    rows = [
        {"features": f"{group.kind}, {group.label}"}
        | _accuracies(
            scores_of_group(summary, group), random_init[group.architecture], raw_pixels, columns
        )
        | {"against_raw_pixels": _against(summary, group)}
        for group in results.groups
    ]
    rows += [
        {"features": f"{RANDOM_INIT}, {architecture}"}
        | _accuracies(scores, None, raw_pixels, columns)
        | {"against_raw_pixels": _sides(scores, raw_pixels, {})}
        for architecture, scores in random_init.items()
    ]
    rows.append({"features": RAW_PIXELS} | _accuracies(raw_pixels, None, None, columns))
    not_measured = "".join(
        f" Not measured: {stage} ({reason})." for stage, reason in reasons.items() if reason
    )
    return Table(
        name="accuracy",
        caption=(
            "Accuracy in percent on the test split unless val is named, differences in points. "
            f"Brackets: 95 % bootstrap interval over the images. k-NN with k = {results.headline}. "
            "Linear classifiers are scored after their last epoch; the epoch that was best on val "
            "stands beside it. They see features of centre crops, by the paper's protocol those of "
            f"new random crops in each epoch. Random init is {results.random_init_is}, the mean "
            f"over its seeds. Above and below: the intervals do not overlap{_of_seeds(results)}."
            f"{results.over_seeds}{not_measured}{results.not_trained}"
        ),
        headings=columns,
        frame=frame(rows, columns, text=("features", "against_raw_pixels")),
    )


def _accuracies(
    scores: Scores,
    random_init: Scores | None,
    raw_pixels: Scores | None,
    columns: Container[str],
) -> dict[str, Any]:
    row: dict[str, Any] = {k: v for k, v in scores.items() if k in columns}
    for classifier in ("knn", "linear"):
        key = f"{classifier}_top1"
        for name, baseline in (("random_init", random_init), ("raw_pixels", raw_pixels)):
            if baseline is not None:
                row[f"{classifier}_minus_{name}"] = difference(scores.get(key), baseline.get(key))
    return row


def _of_seeds(results: Results) -> str:
    if not results.has_seeds:
        return ""
    return ", and the 95 % interval of the seeds' differences (Student's t) does not hold zero"


def _headings(results: Results) -> dict[str, str]:
    """HEADINGS, where top-5 is named after what it is, and left out where it says nothing.

    Of k neighbours at most k classes have a vote, and of 5 classes the first 5 are all.
    """
    headings = dict(HEADINGS)
    best = min(5, int(results.headline)) if results.headline.isdecimal() else 5
    if best == 1 or len(results.dataset["classes"]) <= best:
        del headings["knn_top5"]
    else:
        headings["knn_top5"] = f"k-NN top-{best}"
    return headings


def _against(summary: dict[str, Any], group: Group) -> str:
    """Where the group's accuracies lie beside those of raw pixels, in words."""
    seeds = [summary["runs"][run.name] for run in group.runs]
    by_key = {key: [scores.get(key) for scores in seeds] for key in _CLASSIFIERS.values()}
    return _sides(scores_of_group(summary, group), summary["baselines"]["raw_pixels"], by_key)


_CLASSIFIERS = {"k-NN": "knn_top1", "linear": "linear_top1"}


def _sides(scores: Scores, raw_pixels: Scores, seeds: dict[str, list[float | None]]) -> str:
    sides = {
        label: side(scores, raw_pixels, key, seeds.get(key, ()))
        for label, key in _CLASSIFIERS.items()
    }
    return ", ".join(
        f"{label} {found.removesuffix(' from')}" for label, found in sides.items() if found
    )
