"""The report as one self-contained HTML page."""

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from dino.core.stages import STAGES
from dino.reporting import graph
from dino.reporting.executions import executions
from dino.reporting.explorer import explorer
from dino.reporting.kinds import RANDOM_INIT, RAW_PIXELS
from dino.reporting.picture import Picture
from dino.reporting.results import Group, Results
from dino.reporting.summary import DECIMALS, Scores, scores_of_group
from dino.reporting.table import MINUS, NOT_MEASURED, Table
from dino.reporting.verdict import in_words

_COLUMN_PX, _ROW_PX, _BOX_PX = 152, 54, (110, 36)


@dataclass(frozen=True, kw_only=True)
class Tile:
    """One number of an architecture and what it is compared with."""

    label: str
    value: str
    comparisons: tuple[str, ...]


def page(
    results: Results,
    summary: dict[str, Any],
    tables: tuple[Table, ...],
    pictures: tuple[Picture, ...],
    provenance: dict[str, Any],
) -> str:
    """An HTML page that loads nothing from elsewhere; equal arguments give an equal page."""
    published = {table.name: table for table in tables if table.name.startswith("paper_")}
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2").render(
        headlines=[headline(results, summary, group) for group in results.leading],
        tiles={group.name: tiles(results, summary, group) for group in results.leading},
        others=[group.name for group in results.groups if group not in results.leading],
        dataset=summary["dataset"],
        groups=[group.label for group in results.groups],
        runs=len(results.runs),
        tables={
            table.name: table
            for table in tables
            if table.name not in published and table.absent is None
        },
        absent=[
            *(f"{_title(p.name)}: {p.caption}" for p in pictures if p.is_words),
            *(f"{_title(table.name)}: {table.absent}" for table in tables if table.absent),
        ],
        any_trained=results.any_trained,
        not_trained=results.not_trained,
        paper=[table for table in published.values() if table.frame["ours"].notna().any()],
        pictures=[
            (picture, base64.b64encode(picture.svg).decode("ascii"))
            for picture in pictures
            if not picture.is_words
        ],
        workflow=_workflow(),
        explorer=explorer(results),
        executions=executions(provenance),
    )


def _title(name: str) -> str:
    """The name of a figure or a table as a heading has it."""
    return name.replace("_", " ").capitalize()


def headline(results: Results, summary: dict[str, Any], group: Group) -> str:
    """What the numbers of `group` say, in a sentence."""
    name = group.architecture if group.variant == "dino" else group.name
    if results.no_accuracies:
        return f"{name}: no accuracies, since {results.no_accuracies}."
    scores, random_init, raw_pixels = _compared(summary, group)
    seeds = len(group.runs)
    of_seeds = f" (mean of {seeds} seeds)" if seeds > 1 else ""
    parts = [
        f"{classifier} top-1 {_percent(scores[key])}, "
        f"{in_words(scores, random_init, key, _seeds(summary, group, key))} random init, "
        f"{in_words(scores, raw_pixels, key, _seeds(summary, group, key))} raw pixels"
        for classifier, key in (("k-NN", "knn_top1"), ("linear", "linear_top1"))
        if scores.get(key) is not None
    ]
    return f"{name}{of_seeds}: {group.kind} {'; '.join(parts)}."


def tiles(results: Results, summary: dict[str, Any], group: Group) -> tuple[Tile, ...]:
    """The numbers of `group` that matter most, each beside its baselines; those there are."""
    scores, random_init, raw_pixels = _compared(summary, group)
    boxes = summary["baselines"]
    classified = {RANDOM_INIT: random_init, RAW_PIXELS: raw_pixels}
    references: dict[str, tuple[str, dict[str, Scores]]] = {
        "knn_top1": (f"k-NN top-1, k = {results.headline}", classified),
        "linear_top1": ("Linear top-1, last epoch", classified),
        "attention_jaccard": (
            "Jaccard of the attention masks",
            {
                RANDOM_INIT: random_init,
                "centre box": boxes["centre_box"],
                "Otsu": boxes["otsu"],
            },
        ),
    }
    return tuple(
        Tile(
            label=label,
            value=_percent(scores[key]),
            comparisons=_interval(scores, key)
            + tuple(
                f"{in_words(scores, baseline, key, _seeds(summary, group, key))} {name} "
                f"({_percent(baseline[key])})"
                for name, baseline in baselines.items()
                if baseline.get(key) is not None
            ),
        )
        for key, (label, baselines) in references.items()
        if scores.get(key) is not None
    )


def _seeds(summary: dict[str, Any], group: Group, key: str) -> list[float | None]:
    return [summary["runs"][run.name].get(key) for run in group.runs]


def _interval(scores: Scores, key: str) -> tuple[str, ...]:
    if (deviation := scores.get(f"{key}_sd")) is not None:
        return (f"± {deviation:.{DECIMALS}f} over seeds",)
    low, high = scores.get(f"{key}_low"), scores.get(f"{key}_high")
    if low is None or high is None:
        return ()
    return (f"95 % interval {_percent(low)} to {_percent(high)}",)


def _compared(summary: dict[str, Any], group: Group) -> tuple[Scores, Scores, Scores]:
    baselines = summary["baselines"]
    return (
        scores_of_group(summary, group),
        baselines["random_init"]["by_architecture"][group.architecture],
        baselines["raw_pixels"],
    )


def _percent(value: float | None) -> str:
    if value is None:
        return NOT_MEASURED
    return f"{value:.{DECIMALS}f} %".replace("-", MINUS)


def _workflow() -> dict[str, Any]:
    """The stages as boxes and arrows, in pixels."""
    width, height = _BOX_PX
    boxes = {
        node.name: {
            "x": 8 + node.column * _COLUMN_PX,
            "y": 8 + node.row * _ROW_PX,
            "per_run": node.per_run,
        }
        for node in graph.nodes()
    }
    arrows = []
    for source, target in graph.edges():
        start, end = boxes[source], boxes[target]
        x1, y1 = start["x"] + width, start["y"] + height / 2
        x2, y2 = end["x"] - 5, end["y"] + height / 2
        # along the source's row first, and to the target's in the gap before it
        bend = x2 - 28
        arrows.append(f"M{x1},{y1} H{bend} C{x2 - 12},{y1} {bend + 6},{y2} {x2},{y2}")
    return {
        "boxes": boxes,
        "arrows": arrows,
        "box_width": width,
        "box_height": height,
        "width": max(box["x"] for box in boxes.values()) + width + 8,
        "height": max(box["y"] for box in boxes.values()) + height + 8,
        "words": "; ".join(
            f"{stage} reads {', '.join(sources)}"
            for stage, sources in ((name, stage.reads) for name, stage in STAGES.items())
            if sources
        ),
    }
