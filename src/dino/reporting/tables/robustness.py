"""k-NN accuracy of corrupted images beside the baselines."""

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from dino.core.paths import RANDOM_INIT, TEACHER
from dino.reporting.kinds import RANDOM_INIT as RANDOM_INIT_KIND
from dino.reporting.kinds import RAW_PIXELS
from dino.reporting.results import Results
from dino.reporting.summary import scores_of_group
from dino.reporting.table import Table, frame, nothing, with_intervals

CORRUPTIONS = {
    "noise": "Noise",
    "blur": "Blur",
    "contrast": "Contrast",
    "pixelate": "Pixelate",
    "jpeg": "JPEG",
}
HEADINGS = {
    "features": "Features",
    "clean": "Clean",
    **CORRUPTIONS,
    "robustness_top1": "Mean of corruptions",
    "relative_drop": "Lost of clean",
}
_SHOWN = with_intervals(HEADINGS, ("robustness_top1",), seeds=True)


def robustness_table(results: Results, summary: dict[str, Any]) -> Table:
    """One row a group, one an architecture's random init, and raw pixels."""
    columns = with_intervals(HEADINGS, ("robustness_top1",), results.has_seeds)
    if reason := results.reason("robustness"):
        return nothing("robustness", reason, columns)
    rows = [
        _row(
            f"{group.kind}, {group.label}",
            [run.robustness.get(TEACHER) for run in group.runs],
            scores_of_group(summary, group),
        )
        for group in results.groups
    ]
    for architecture, scores in summary["baselines"]["random_init"]["by_architecture"].items():
        seeds = [
            run.robustness.get(RANDOM_INIT)
            for run in results.runs
            if run.architecture == architecture
        ]
        rows.append(_row(f"{RANDOM_INIT_KIND}, {architecture}", seeds, scores))
    raw_pixels = results.baselines["raw_pixels"].get("robustness")
    rows.append(_row(RAW_PIXELS, [raw_pixels], summary["baselines"]["raw_pixels"]))
    return Table(
        name="robustness",
        caption=_caption(results.measured("robustness")) + results.over_seeds,
        headings=columns,
        frame=frame(rows, columns, text=("features",)),
    )


def _row(
    features: str, seeds: Sequence[dict[str, Any] | None], scores: dict[str, Any]
) -> dict[str, Any]:
    """The mean over `seeds` of each column; empty for a data set without labels."""
    row = {"features": features, **{key: value for key, value in scores.items() if key in _SHOWN}}
    measured = [result for result in seeds if result is not None]
    if measured:
        row["clean"] = fmean(result["clean"]["top1"] for result in measured)
        for name in CORRUPTIONS:
            row[name] = fmean(
                severity["top1"]
                for result in measured
                for severity in result["corruptions"][name].values()
            )
        drops = [r["relative_drop"] for r in measured if r["relative_drop"] is not None]
        row["relative_drop"] = fmean(drops) if drops else None
    return row


def _caption(result: dict[str, Any]) -> str:
    return (
        f"k-NN top-1 (k = {result['neighbours']}) in percent of {result['images']} test images, "
        "clean and in each corruption: the mean over three severities. The neighbours are clean "
        "training images. The mean of all 15 has a 95 % bootstrap interval over the images; lost "
        "of clean is its distance from clean in percent of clean."
    )
