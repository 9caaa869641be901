"""k-NN accuracy against the severity of each corruption."""

from statistics import fmean
from typing import Any

import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from dino.core.paths import RANDOM_INIT, TEACHER
from dino.reporting.picture import BLUE, GREEN, ORANGE, WIDTH_IN, Picture, picture
from dino.reporting.results import Group, Results
from dino.reporting.tables.robustness import CORRUPTIONS

MAX_ROWS = 6
_COLOURS = {"DINO": BLUE, "random init": ORANGE, "raw pixels": GREEN}
_MARKERS = {"DINO": "o", "random init": "D", "raw pixels": "s"}


def robustness(results: Results, summary: dict[str, Any]) -> Picture:
    """One row of panels a group, one panel a corruption; severity 0 is the clean image."""
    reason = results.runs[0].robustness.get("reason")
    if reason:
        return _empty(reason)
    groups = results.groups[:MAX_ROWS]
    figure = Figure(figsize=(WIDTH_IN, 0.6 + 2.2 * len(groups)), layout="constrained")
    panels = figure.subplots(len(groups), len(CORRUPTIONS), sharex=True, sharey=True, squeeze=False)
    for group, row in zip(groups, panels, strict=True):
        points = _points(results, group)
        name = group.architecture if group.variant == "dino" else group.name
        for (corruption, title), axes in zip(CORRUPTIONS.items(), row, strict=True):
            sns.lineplot(
                points[points["corruption"] == corruption],
                x="severity",
                y="top1",
                hue="features",
                style="features",
                palette=_COLOURS,
                markers=_MARKERS,
                dashes=False,
                errorbar=None,
                ax=axes,
            )
            handles, labels = axes.get_legend_handles_labels()
            axes.legend().remove()
            axes.set(title=title, xlabel="severity", ylabel=f"{name}\ntop-1 on test (%)")
            axes.set_xticks(range(4))
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    first = results.runs[0]
    scores = summary["runs"][first.name]
    return picture(
        figure,
        name="robustness",
        caption=(
            f"k-NN top-1 of {first.robustness['images']} test images against the severity of five "
            "corruptions (0: clean), beside the same network before its first step and raw pixels; "
            "the mean over seeds. The neighbours are clean training images." + _left_out(results)
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


def _points(results: Results, group: Group) -> pd.DataFrame:
    runs = [run.robustness for run in group.runs]
    sources = {
        "DINO": [run[TEACHER] for run in runs],
        "random init": [run[RANDOM_INIT] for run in runs],
        "raw pixels": [results.baselines["raw_pixels"]["robustness"]],
    }
    return pd.DataFrame(
        [
            (
                features,
                corruption,
                severity,
                fmean(_top1(seed, corruption, severity) for seed in seeds),
            )
            for features, seeds in sources.items()
            for corruption in CORRUPTIONS
            for severity in range(4)
        ],
        columns=pd.Index(["features", "corruption", "severity", "top1"]),
    )


def _top1(result: dict[str, Any], corruption: str, severity: int) -> float:
    if severity == 0:
        return float(result["clean"]["top1"])
    return float(result["corruptions"][corruption][str(severity)]["top1"])


def _percent(scores: dict[str, Any], which: str) -> str:
    return f"{scores[f'robustness_{which}top1']:.2f} %"


def _empty(reason: str) -> Picture:
    figure = Figure(figsize=(WIDTH_IN, 1.0), layout="constrained")
    figure.text(0.5, 0.5, f"not measured: {reason}", ha="center", va="center")
    words = f"Robustness was not measured: {reason}."
    return picture(figure, name="robustness", caption=words, alternative=words)
