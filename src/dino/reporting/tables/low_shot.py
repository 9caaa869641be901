"""Accuracy with the labels of few training images."""

from typing import Any

from dino.core.paths import TEACHER
from dino.reporting.kinds import RANDOM_INIT, RAW_PIXELS
from dino.reporting.results import Results
from dino.reporting.scores import Scores, low_shot_name
from dino.reporting.summary import scores_of_group
from dino.reporting.table import Table, frame, nothing, with_intervals

HEADINGS = {
    "features": "Features",
    "share": "Labels",
    "images": "Images",
    "draws": "Draws",
    "test_top1": "Top-1, mean over draws",
    "deviation": "Deviation over draws",
}


def low_shot_table(results: Results, summary: dict[str, Any]) -> Table:
    """A row for each share of labels and each kind of features."""
    columns = with_intervals(HEADINGS, ("test_top1",), results.has_seeds)
    if reason := results.reason("low_shot"):
        return nothing("low_shot", reason, columns)
    baselines = summary["baselines"]
    named: dict[str, Scores] = {
        **{f"{g.kind}, {g.label}": scores_of_group(summary, g) for g in results.groups},
        **{
            f"{RANDOM_INIT}, {architecture}": scores
            for architecture, scores in baselines["random_init"]["by_architecture"].items()
        },
        RAW_PIXELS: baselines["raw_pixels"],
    }
    # every run has the shares of params.yaml; the images drawn do not depend on the features
    shares = results.measured("low_shot")[TEACHER]["shares"]
    rows = [
        {"features": features} | _row(scores, share)
        for share in shares
        for features, scores in named.items()
    ]
    return Table(
        name="low_shot",
        caption=(
            "Logistic regression on the features of few labelled training images, drawn several "
            "times in proportion to the classes: accuracy in percent on the test split. Brackets: "
            "95 % bootstrap interval over the test images. Random init is "
            f"{results.random_init_is}, the mean over its seeds.{results.over_seeds}"
        ),
        headings=columns,
        frame=frame(rows, columns, text=_TEXT),
    )


_TEXT = ("features", "share", "images", "draws")


def _row(scores: Scores, share: dict[str, Any]) -> dict[str, Any]:
    name = low_shot_name(share["fraction"])
    return {
        "share": f"{100 * share['fraction']:g} %",
        "images": str(share["draws"][0]["images"]),
        "draws": str(len(share["draws"])),
        "test_top1": scores.get(name),
        "test_top1_low": scores.get(f"{name}_low"),
        "test_top1_high": scores.get(f"{name}_high"),
        "test_top1_sd": scores.get(f"{name}_sd"),
        "deviation": scores.get(f"{name}_deviation"),
    }
