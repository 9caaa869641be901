"""k-NN accuracy against the severity of each corruption."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dino.core.paths import RANDOM_INIT, TEACHER
from dino.reporting.figures.accuracy import LOOKS
from dino.reporting.kinds import RANDOM_INIT as RANDOM_INIT_KIND
from dino.reporting.kinds import RAW_PIXELS
from dino.reporting.picture import GREEN, WIDTH_IN, Picture, picture, words
from dino.reporting.results import Group, Results
from dino.reporting.tables.robustness import CORRUPTIONS

MAX_ROWS = 6
_LOOKS = {**LOOKS, RAW_PIXELS: (GREEN, "^")}


def robustness(results: Results, summary: dict[str, Any]) -> Picture:
    """One row of panels a group, one panel a corruption; severity 0 is the clean image."""
    if reason := results.reason("robustness"):
        return words("robustness", f"Robustness was not measured: {reason}.")
    groups = results.groups[:MAX_ROWS]
    figure = Figure(figsize=(WIDTH_IN, 0.6 + 2.2 * len(groups)), layout="constrained")
    panels = figure.subplots(len(groups), len(CORRUPTIONS), sharex=True, sharey=True, squeeze=False)
    for group, row in zip(groups, panels, strict=True):
        sources = _sources(results, group)
        name = group.architecture if group.variant == "dino" else group.name
        for (corruption, title), axes in zip(CORRUPTIONS.items(), row, strict=True):
            for features, seeds in sources.items():
                _draw(axes, features, [_curve(seed, corruption) for seed in seeds])
            axes.set(title=title, xlabel="severity")
            axes.set_xticks(range(4))
        row[0].set_ylabel(f"{name}\ntop-1 on test (%)")
    legends = [axes.get_legend_handles_labels() for axes in panels[:, 0]]
    once = {label: handle for pair in legends for handle, label in zip(*pair, strict=True)}
    figure.legend(once.values(), once.keys(), loc="outside lower center", ncols=len(once))
    first = results.runs[0]
    scores = summary["runs"][first.name]
    return picture(
        figure,
        name="robustness",
        caption=(
            f"k-NN top-1 of {first.robustness['images']} test images against the severity of five "
            f"corruptions (0: clean), beside {results.random_init_is} and raw pixels; the mean "
            "over seeds, with 95 % bootstrap intervals over the images (the mean of the seeds'). "
            "The neighbours are clean training images." + _left_out(results)
        ),
        alternative=(
            f"Five line plots in a row. {first.name}: {_percent(scores, 'clean_')} "
            f"clean and {_percent(scores, '')} in the mean of the corruptions. All numbers stand "
            "in the robustness table."
        ),
    )


def _left_out(results: Results) -> str:
    names = ", ".join(group.name for group in results.groups[MAX_ROWS:])
    return f" In the table alone: {names}." if names else ""


def _sources(results: Results, group: Group) -> dict[str, list[dict[str, Any]]]:
    """The results of each kind of features, one a seed; none of a run that measured none."""
    runs = [run.robustness for run in group.runs if "reason" not in run.robustness]
    return {
        group.kind: [run[TEACHER] for run in runs],
        RANDOM_INIT_KIND: [run[RANDOM_INIT] for run in runs],
        RAW_PIXELS: [results.baselines["raw_pixels"]["robustness"]],
    }


def _curve(result: dict[str, Any], corruption: str) -> list[tuple[float, float, float]]:
    """Accuracy and its bounds by severity, from the clean image on."""
    by_severity = result["corruptions"][corruption]
    accuracies = [result["clean"], *(by_severity[str(severity)] for severity in (1, 2, 3))]
    return [
        (found["top1"], *(found["top1_interval"] or (found["top1"], found["top1"])))
        for found in accuracies
    ]


def _draw(axes: Axes, features: str, seeds: list[list[tuple[float, float, float]]]) -> None:
    if not seeds:
        return
    colour, marker = _LOOKS[features]
    top1, low, high = np.mean(seeds, axis=0).T
    axes.errorbar(
        range(len(top1)),
        top1,
        yerr=np.maximum(0, [top1 - low, high - top1]),
        color=colour,
        marker=marker,
        markersize=5,
        capsize=2,
        linewidth=1.3,
        elinewidth=0.9,
        label=features,
    )


def _percent(scores: dict[str, Any], which: str) -> str:
    return f"{scores[f'robustness_{which}top1']:.2f} %"
