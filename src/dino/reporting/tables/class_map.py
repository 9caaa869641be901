"""How far the distances between classes follow the superclasses, beside the baselines."""

from typing import Any

from dino.core.paths import MODELS, RANDOM_INIT, TEACHER
from dino.reporting.kinds import RANDOM_INIT as RANDOM_INIT_KIND
from dino.reporting.kinds import RAW_PIXELS
from dino.reporting.results import Results
from dino.reporting.summary import Scores, scores_of_group
from dino.reporting.table import Table, frame, nothing, with_deviation
from dino.reporting.tables.attention import deviation_sentence

HEADINGS = {
    "features": "Features",
    "class_map_spearman": "Spearman correlation",
    "low": "95 % low",
    "high": "95 % high",
    "highest": "Highest possible",
    "note": "Note",
}


def class_map_table(results: Results, summary: dict[str, Any]) -> Table:
    """One row a group, then a row a baseline: rank correlation with the superclasses."""
    columns = with_deviation(HEADINGS, "class_map_spearman", results.has_seeds)
    if reason := _why_none(results):
        return nothing("class_map", reason, columns)
    rows = [
        _row(
            f"{group.kind}, {group.label}",
            scores_of_group(summary, group),
            group.runs[0].class_map,
            TEACHER,
        )
        for group in results.groups
    ]
    first = results.runs[0].class_map
    baselines = summary["baselines"]
    rows += [
        _row(f"{RANDOM_INIT_KIND}, {architecture}", scores, first, RANDOM_INIT)
        for architecture, scores in baselines["random_init"]["by_architecture"].items()
    ]
    # without labels it has no entry, and the reason is the first run's
    raw_pixels = results.baselines["raw_pixels"].get("class_map")
    measured = first if raw_pixels is None else {TEACHER: raw_pixels}
    rows.append(_row(RAW_PIXELS, baselines["raw_pixels"], measured, TEACHER))
    return Table(
        name="class_map",
        caption=(
            "Spearman correlation between the cosine distances of the classes' mean features and "
            "their superclasses (0 within one, 1 between two), with its 95 % bootstrap interval "
            f"over the images of each class{_grouping(first)}. The highest possible value is below "
            "1, since the superclasses know two distances only. Random init: mean over seeds."
            + deviation_sentence(results)
        ),
        headings=columns,
        frame=frame(rows, columns, text=("features", "note")),
    )


def _why_none(results: Results) -> str | None:
    """Why no features have a number; None where some have."""
    if reason := results.reason("class_map"):
        return reason
    measured = [run.class_map[model] for run in results.runs for model in MODELS
                if model in run.class_map]  # fmt: skip
    measured += [found for found in [results.baselines["raw_pixels"].get("class_map")] if found]
    reasons = [found["spearman_reason"] for found in measured]
    return None if None in reasons else str(reasons[0])


def _row(features: str, scores: Scores, class_map: dict[str, Any], model: str) -> dict[str, Any]:
    measured = class_map.get(model, {"spearman_highest": None})
    reason = measured["spearman_reason"] if model in class_map else class_map["reason"]
    return {
        "features": features,
        "class_map_spearman": scores["class_map_spearman"],
        "class_map_spearman_sd": scores.get("class_map_spearman_sd"),
        "low": scores["class_map_spearman_low"],
        "high": scores["class_map_spearman_high"],
        "highest": measured["spearman_highest"],
        "note": reason,
    }


def _grouping(class_map: dict[str, Any]) -> str:
    groups = class_map.get("superclass_of")
    if not groups:
        return ""
    names: dict[str, list[str]] = {}
    for name, group in zip(class_map["classes"], groups, strict=True):
        names.setdefault(group, []).append(name)
    words = "; ".join(f"{group}: {', '.join(classes)}" for group, classes in names.items())
    return f", on {class_map['split']} ({words})"
