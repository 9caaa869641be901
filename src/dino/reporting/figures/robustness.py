"""k-NN accuracy against the severity of each corruption."""

from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from dino.core.paths import RANDOM_INIT, RAW_PIXELS, TEACHER
from dino.reporting.figures.accuracy import LOOKS
from dino.reporting.kinds import NAMES
from dino.reporting.picture import WIDTH_IN, Picture, picture, words
from dino.reporting.results import Group, Results
from dino.reporting.rows import with_settings
from dino.reporting.tables.robustness import CORRUPTIONS

MAX_ROWS = 6


def robustness(results: Results, summary: dict[str, Any]) -> Picture:
    """One row of panels a group, one panel a corruption; severity 0 is the clean image."""
    if reason := results.reason("robustness"):
        return words("robustness", f"Robustness was not measured: {reason}.")
    groups = results.groups[:MAX_ROWS]
    first = results.runs[0]
    scores = summary["runs"][first.name]
    return picture(
        _draw(_curves(results.scores), groups),
        name="robustness",
        caption=(
            f"k-NN top-1 of {results.measured('robustness')['images']} test images against the "
            f"severity of five corruptions (0: clean), beside {results.random_init_is} and raw "
            "pixels; the mean over seeds, with 95 % bootstrap intervals over the images (the mean "
            "of the seeds'). The neighbours are clean training images." + _left_out(results)
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


def _curves(scores: pd.DataFrame) -> pd.DataFrame:
    """The rows of single severities; the clean image is severity 0 of each corruption."""
    rows = with_settings(scores[(scores["evaluation"] == "robustness")])
    rows = rows[(rows["metric"] == "top1") & (rows["corruption"] != "mean")]
    clean = rows[rows["corruption"] == "none"]
    every = [clean.assign(corruption=name, severity="0") for name in CORRUPTIONS]
    rows = pd.concat([*every, rows[rows["corruption"] != "none"]])
    ends = {end: rows[end].fillna(rows["value"]) for end in ("low", "high")}
    return rows.assign(severity=rows["severity"].astype(int), **ends)


def _draw(curves: pd.DataFrame, groups: tuple[Group, ...]) -> Figure:
    figure = Figure(figsize=(WIDTH_IN, 0.6 + 2.2 * len(groups)), layout="constrained")
    panels = figure.subplots(len(groups), len(CORRUPTIONS), sharex=True, sharey=True, squeeze=False)
    for group, row in zip(groups, panels, strict=True):
        name = group.architecture if group.variant == "dino" else group.name
        runs = [run.name for run in group.runs]
        own = curves[curves["run"].isin(runs) | (curves["model"] == RAW_PIXELS)]
        names = {**NAMES, TEACHER: group.kind}
        for (corruption, title), axes in zip(CORRUPTIONS.items(), row, strict=True):
            panel = own[own["corruption"] == corruption]
            by_severity = panel.groupby(["model", "severity"])[["value", "low", "high"]]
            means = by_severity.mean().reset_index()
            for model in (TEACHER, RANDOM_INIT, RAW_PIXELS):
                of_model = means[means["model"] == model]
                if of_model.empty:
                    continue
                colour, marker = LOOKS[names[model]]
                sns.lineplot(
                    of_model, x="severity", y="value", ax=axes, color=colour, marker=marker,
                    label=names[model], legend=False,
                )  # fmt: skip
                below = np.maximum(0, of_model["value"] - of_model["low"])
                above = np.maximum(0, of_model["high"] - of_model["value"])
                axes.errorbar(
                    of_model["severity"], of_model["value"], yerr=[below, above], fmt="none",
                    ecolor=colour, capsize=2, elinewidth=0.9,
                )  # fmt: skip
            axes.set(title=title, xlabel="severity", ylabel="")
            axes.set_xticks(range(4))
        row[0].set_ylabel(f"{name}\ntop-1 on test (%)")
    legends = [axes.get_legend_handles_labels() for axes in panels[:, 0]]
    once = {label: handle for pair in legends for handle, label in zip(*pair, strict=True)}
    figure.legend(once.values(), once.keys(), loc="outside lower center", ncols=len(once))
    return figure


def _percent(scores: dict[str, Any], which: str) -> str:
    return f"{scores[f'robustness_{which}top1']:.2f} %"
