"""The figure of the logged numbers of trainings, over their epochs."""

import math
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dino.reporting.picture import GREEN, WIDTH_IN, Picture, palette, picture, words
from dino.reporting.results import Results, RunResults

NAME = "training_curves"
POINTS_PER_CURVE = 150
MAX_CURVES = 10
"""The column whose values have different colours."""
CURVES = {
    "loss": ("Loss", "cross-entropy (nats)"),
    "teacher_entropy": ("Entropy of the teacher", "entropy (nats)"),
    "kl": ("KL(teacher ‖ student)", "divergence (nats)"),
    "prototype_share": ("Teacher's favourite prototype", "mean probability"),
    "feature_std": ("Spread of the features", "deviation · √dim"),
    "center_norm": ("Center", "norm"),
    "online_knn_top1": ("Online k-NN of the teacher", "top-1 on val (%)"),
    "learning_rate": ("Learning rate", "learning rate"),
    "gradient_norm": ("Gradient before clipping", "norm"),
}


def training_curves(results: Results, summary: dict[str, Any], prototypes: int) -> Picture:
    """Loss, signs of collapse, online k-NN, learning rate and gradients over the epochs."""
    trained, left_out = drawn(results)
    if not trained:
        return words(NAME, f"No training to show.{results.not_trained}")
    hue = "group" if len(results.groups) > len(results.architectures) else "architecture"
    names = tuple(dict.fromkeys(_label(run, hue) for run in trained))
    colours = palette(names if hue == "group" else results.architectures)
    logged = [name for name in CURVES if any(run.log[name].notna().any() for run in trained)]
    rows = -(-len(logged) // 3)
    figure = Figure(figsize=(WIDTH_IN, 0.4 + 2.6 * rows), layout="constrained")
    grid = list(figure.subplots(rows, 3, squeeze=False).flat)
    panels = dict(zip(logged, grid, strict=False))
    for unused in grid[len(logged) :]:
        unused.set_axis_off()
    for column, axes in panels.items():
        curves = [
            thinned(run.log, column).assign(curve=_label(run, hue), run=run.name) for run in trained
        ]
        _draw(axes, column, pd.concat([pd.DataFrame(), *curves]), colours)
    handles, labels = grid[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4)
    for axes in panels.values():
        if legend := axes.get_legend():
            legend.remove()
    _draw_references(panels, summary["baselines"], prototypes, colours)
    return picture(
        figure,
        name=NAME,
        caption=(
            "Training telemetry, one line a run. A teacher that collapses shows as an entropy at "
            "ln K (uniform) or as one prototype with a probability of 1 (one-dimensional), with a "
            "KL divergence of 0; features that fall into one point have no spread. The online k-NN "
            "searches part of the training images; the dotted and dashed baselines search all."
            + left_out
            + _not_logged(logged)
            + results.not_trained
        ),
        alternative=_curves_in_words(trained, len(panels)),
    )


def _draw(axes: Axes, column: str, curves: pd.DataFrame, colours: dict[str, Any]) -> None:
    """One panel: a line a run, a colour a curve."""
    title, label = CURVES[column]
    # a line needs two points: without them there is nothing to see but markers
    is_sparse = column == "online_knn_top1" or bool(curves["run"].value_counts().min() < 2)
    sns.lineplot(
        curves,
        x="epoch",
        y=column,
        hue="curve",
        style="curve",
        units="run",
        estimator=None,
        palette=colours,
        markers=is_sparse,
        linewidth=1.3,
        ax=axes,
    )
    axes.set(title=title, xlabel="epochs", ylabel=label, xlim=(0, None))
    axes.margins(y=0.12)


def _draw_references(
    panels: dict[str, Axes], baselines: dict[str, Any], prototypes: int, colours: dict[str, Any]
) -> None:
    """Draw the lines to compare the curves with: the uniform distribution, and the baselines."""
    for column in ("loss", "teacher_entropy"):
        if column in panels:
            reference_line(
                panels[column], math.log(prototypes), f"ln {prototypes}: uniform", "0.3", ":"
            )
    online = panels.get("online_knn_top1")
    if online is None:
        return
    raw_pixels = baselines["raw_pixels"].get("knn_val_top1")
    reference_line(online, raw_pixels, "raw pixels, all images", GREEN, "--")
    random_init = baselines["random_init"]["by_architecture"]
    # where colours tell the architectures apart, one label is enough
    lowest = min(random_init, key=lambda name: random_init[name].get("knn_val_top1") or 0)
    for name, scores in random_init.items():
        text = "random init, all images" if name == lowest else ""
        reference_line(online, scores.get("knn_val_top1"), text, colours.get(name, "0.3"), ":")


def drawn(results: Results) -> tuple[list[RunResults], str]:
    """The runs that have a curve, and a sentence for the caption on those that were left out.

    With more than MAX_CURVES runs one seed speaks for all, and of more groups the first are drawn.
    """
    trained = [run for run in results.runs if run.trained]
    if len(trained) <= MAX_CURVES:
        return trained, ""
    first = [next((r for r in group.runs if r.trained), None) for group in results.groups]
    shown = [run for run in first if run is not None]
    sentences = ""
    if len(shown) < len(trained):
        sentences = " Of several seeds the first is drawn."
    if len(shown) > MAX_CURVES:
        names = ", ".join(run.variant_name for run in shown[MAX_CURVES:])
        sentences += f" Not drawn, to stay readable: {names}."
    return shown[:MAX_CURVES], sentences


def _label(run: RunResults, hue: str) -> str:
    return run.architecture if hue == "architecture" else run.variant_name


def thinned(log: pd.DataFrame, column: str) -> pd.DataFrame:
    """Means of `column` over at most POINTS_PER_CURVE stretches of its logged steps."""
    logged = log[["epoch", column]].dropna()
    stretches = np.arange(len(logged)) * POINTS_PER_CURVE // max(len(logged), POINTS_PER_CURVE)
    return logged.groupby(stretches).mean()


def reference_line(
    axes: Axes, value: float | None, label: str, colour: Any, linestyle: Any
) -> None:
    """Draw a horizontal line at `value` with its label at the right end; nothing for None."""
    if value is None:
        return
    axes.axhline(value, color=colour, linestyle=linestyle, linewidth=1.2, zorder=1)
    axes.annotate(
        label,
        (1, value),
        xytext=(-3, 2),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        ha="right",
        va="bottom",
        fontsize="small",
        color=colour,
    )


def _not_logged(logged: list[str]) -> str:
    names = ", ".join(title for name, (title, _) in CURVES.items() if name not in logged)
    return f" Not measured: {names}." if names else ""


def _curves_in_words(trained: list[RunResults], panels: int) -> str:
    run = trained[0]
    first, last = run.log.iloc[0], run.log.iloc[-1]
    return (
        f"{panels} line plots over {last['epoch']:.3g} epochs. {run.name}: the loss goes from "
        f"{first['loss']:.2f} to {last['loss']:.2f} nats, the teacher's entropy from "
        f"{first['teacher_entropy']:.2f} to {last['teacher_entropy']:.2f} nats, the KL divergence "
        f"from {first['kl']:.2f} to {last['kl']:.2f} nats."
    )
