"""k-NN and linear accuracy beside the baselines."""

from collections.abc import Container
from typing import Any

from dino.reporting.results import Results
from dino.reporting.scores import Scores
from dino.reporting.summary import difference, scores_of_group
from dino.reporting.table import Table, frame, with_intervals

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
    columns = with_intervals(HEADINGS, _MEASURED, results.has_seeds)
    rows = [
        {"features": f"{group.kind}, {group.label}"}
        | _accuracies(
            scores_of_group(summary, group), random_init[group.architecture], raw_pixels, columns
        )
        for group in results.groups
    ]
    rows += [
        {"features": f"random init, {architecture}"}
        | _accuracies(scores, None, raw_pixels, columns)
        for architecture, scores in random_init.items()
    ]
    rows.append({"features": "raw pixels"} | _accuracies(raw_pixels, None, None, columns))
    reason = results.no_accuracies
    not_measured = f" Not measured: {reason}." if reason else ""
    return Table(
        name="accuracy",
        caption=(
            "Accuracy in percent on the test split unless val is named, differences in points. "
            f"Brackets: 95 % bootstrap interval over the images. k-NN with k = {results.headline}. "
            "Linear classifiers are scored after their last epoch; the epoch that was best on val "
            "stands beside it. They see features of centre crops, by the paper's protocol those of "
            "new random crops in each epoch. Random init is the same network before its first "
            f"step, the mean over its seeds.{results.over_seeds}"
            f"{not_measured}"
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
                row[f"{classifier}_minus_{name}"] = difference(scores[key], baseline[key])
    if raw_pixels is not None:
        row["against_raw_pixels"] = ", ".join(
            f"{label} {_side(scores[key], raw_pixels[key])}"
            for label, key in (("k-NN", "knn_top1"), ("linear", "linear_top1"))
        )
    return row


def _side(score: float | None, baseline: float | None) -> str:
    points = difference(score, baseline)
    if points is None:
        return "not measured"
    return "above" if points > 0 else "below" if points < 0 else "equal"
