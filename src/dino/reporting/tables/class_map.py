"""How far the distances between classes follow the superclasses, beside the baselines."""

from typing import Any

from dino.core.paths import MODELS
from dino.reporting.results import Results
from dino.reporting.tables.pivot import Column, Pivot


def _caption(results: Results) -> str:
    return (
        "Spearman correlation between the cosine distances of the classes' mean features and "
        "their superclasses (0 within one, 1 between two), with its 95 % bootstrap interval "
        f"over the images of each class{_grouping(results.measured('class_map'))}. The highest "
        "possible value is below 1, since the superclasses know two distances only. Random init: "
        "mean over seeds." + _not_measured(results)
    )


def _grouping(class_map: dict[str, Any]) -> str:
    groups = class_map.get("superclass_of")
    if not groups:
        return ""
    names: dict[str, list[str]] = {}
    for name, group in zip(class_map["classes"], groups, strict=True):
        names.setdefault(group, []).append(name)
    words = "; ".join(f"{group}: {', '.join(classes)}" for group, classes in names.items())
    return f", on {class_map['split']} ({words})"


def _reasons(results: Results) -> dict[str, str]:
    """By run and model, why there is no correlation."""
    return {
        f"{run.name}, {model}": reason
        for run in results.runs
        for model in MODELS
        if (reason := run.details["class_map"].get(model, {}).get("spearman_reason"))
    }


def _not_measured(results: Results) -> str:
    return "".join(f" Not measured: {who} ({why})." for who, why in _reasons(results).items())


def _why_none(results: Results) -> str | None:
    return next(iter(_reasons(results).values()), None)


CLASS_MAP = Pivot(
    name="class_map",
    caption=_caption,
    columns={
        "class_map_spearman": Column("Spearman correlation", key="class_map_spearman"),
        "highest": Column(
            "Highest possible",
            where={"evaluation": "class_map", "metric": "spearman_highest"},
            interval=False,
        ),
    },
    why_none=_why_none,
)
"""The rank correlation with the superclasses."""
