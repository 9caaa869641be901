"""The figures of the report: accuracies, training curves and attention maps."""

import math
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dino.reporting.attention_maps import attention_maps
from dino.reporting.picture import (
    BLUE,
    GREEN,
    ORANGE,
    WIDTH_IN,
    Picture,
    house_style,
    palette,
    picture,
)
from dino.reporting.results import Results

POINTS_PER_CURVE = 150
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


def all_pictures(results: Results, summary: dict[str, Any], prototypes: int) -> tuple[Picture, ...]:
    """Every figure of the report; equal results give equal bytes.

    `prototypes`: the size K of the distributions that student and teacher compare.
    """
    with house_style():
        return (
            accuracy(results, summary),
            training_curves(results, summary, prototypes),
            attention_maps(results),
        )


def accuracy(results: Results, summary: dict[str, Any]) -> Picture:
    """k-NN and linear accuracy of every run, of its random init, and of raw pixels."""
    by_architecture = summary["baselines"]["random_init"]["by_architecture"]
    raw_pixels = summary["baselines"]["raw_pixels"]
    figure = Figure(figsize=(WIDTH_IN, 1.7 + 0.4 * len(results.runs)), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    titles = (
        ("knn_top1", f"k-NN, k = {results.headline}"),
        ("linear_top1", "Linear classifier, last epoch"),
    )
    for axes, (key, title) in zip(panels, titles, strict=True):
        points = pd.DataFrame(
            [(run.name, "DINO", summary["runs"][run.name][key]) for run in results.runs]
            + [
                (run.name, "random init", by_architecture[run.architecture][key])
                for run in results.runs
            ],
            columns=pd.Index(["run", "features", "top1"]),
        )
        _dumbbells(axes, points, raw_pixels[key])
        axes.set_title(title, pad=20)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    first = results.runs[0]
    return picture(
        figure,
        name="accuracy",
        caption=(
            "Top-1 accuracy on the test split of a k-NN and a linear classifier on frozen features "
            "of each trained teacher, of the same network before its first step (mean over seeds), "
            "and of the raw pixels."
        ),
        alternative=(
            f"Dot plot. {first.name}: k-NN {summary['runs'][first.name]['knn_top1']:.2f} %, random "
            f"init {by_architecture[first.architecture]['knn_top1']:.2f} %, raw pixels "
            f"{raw_pixels['knn_top1']:.2f} %. All numbers stand in the accuracy table."
        ),
    )


def _dumbbells(axes: Axes, points: pd.DataFrame, raw_pixels: float) -> None:
    axes.axvline(raw_pixels, color=GREEN, linestyle="--", zorder=1, label="raw pixels")
    axes.annotate(
        f"raw pixels {raw_pixels:.1f}",
        (raw_pixels, 1),
        xytext=(0, 3),
        xycoords=("data", "axes fraction"),
        textcoords="offset points",
        ha="center",
        color=GREEN,
    )
    sns.scatterplot(
        points,
        x="top1",
        y="run",
        hue="features",
        style="features",
        palette={"DINO": BLUE, "random init": ORANGE},
        markers={"DINO": "o", "random init": "D"},
        s=70,
        zorder=3,
        ax=axes,
    )
    axes.legend().remove()
    for run, rows in points.groupby("run", sort=False):
        low, high = rows["top1"].min(), rows["top1"].max()
        axes.hlines(str(run), low, high, color="0.6", linewidth=2, zorder=2)
        for value, offset, side in ((low, -8, "right"), (high, 8, "left")):
            axes.annotate(
                f"{value:.1f}",
                (value, str(run)),
                xytext=(offset, 0),
                textcoords="offset points",
                ha=side,
                va="center",
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
            )
    everything = [*points["top1"], raw_pixels]
    axes.set_xlim(
        max(0, 5 * math.floor((min(everything) - 3) / 5)),
        min(102, 5 * math.ceil((max(everything) + 3) / 5)),
    )
    runs = points["run"].nunique()
    axes.set_ylim(runs - 0.4, -0.6)
    axes.set(xlabel="top-1 on test (%)", ylabel="")


def training_curves(results: Results, summary: dict[str, Any], prototypes: int) -> Picture:
    """Loss, signs of collapse, online k-NN, learning rate and gradients over the epochs."""
    colours = palette(results.architectures)
    figure = Figure(figsize=(WIDTH_IN, 8.2), layout="constrained")
    panels = dict(zip(CURVES, figure.subplots(3, 3, sharex=True).flat, strict=True))
    for column, axes in panels.items():
        title, label = CURVES[column]
        curves = pd.concat(
            thinned(run.log, column).assign(architecture=run.architecture, run=run.name)
            for run in results.runs
        )
        if curves.empty:
            axes.text(0.5, 0.5, "not measured", ha="center", transform=axes.transAxes)
        else:
            sns.lineplot(
                curves,
                x="epoch",
                y=column,
                hue="architecture",
                style="architecture",
                units="run",
                estimator=None,
                palette=colours,
                markers=column == "online_knn_top1",
                linewidth=1.3,
                ax=axes,
            )
        axes.set(title=title, xlabel="epochs", ylabel=label, xlim=(0, None))
        axes.margins(y=0.12)
    handles, labels = panels["loss"].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4)
    for axes in panels.values():
        if legend := axes.get_legend():
            legend.remove()
    for column in ("loss", "teacher_entropy"):
        _reference(panels[column], math.log(prototypes), f"ln {prototypes}: uniform", "0.3", ":")
    online = panels["online_knn_top1"]
    raw_pixels = summary["baselines"]["raw_pixels"]["knn_val_top1"]
    _reference(online, raw_pixels, "raw pixels", GREEN, "--")
    random_init = summary["baselines"]["random_init"]["by_architecture"]
    # where colours tell the architectures apart, one label is enough
    lowest = min(random_init, key=lambda name: random_init[name]["knn_val_top1"])
    for name, scores in random_init.items():
        text = "random init" if name == lowest else ""
        _reference(online, scores["knn_val_top1"], text, colours[name], ":")
    return picture(
        figure,
        name="training_curves",
        caption=(
            "Training telemetry, one line a run. A teacher that collapses shows as an entropy at "
            "ln K (uniform) or as one prototype with a probability of 1 (one-dimensional), with a "
            "KL divergence of 0; features that fall into one point have no spread. The online k-NN "
            "searches part of the training images; the dotted and dashed baselines search all."
        ),
        alternative=_curves_in_words(results),
    )


def thinned(log: pd.DataFrame, column: str) -> pd.DataFrame:
    """Means of `column` over at most POINTS_PER_CURVE stretches of its logged steps."""
    logged = log[["epoch", column]].dropna()
    stretches = np.arange(len(logged)) * POINTS_PER_CURVE // max(len(logged), POINTS_PER_CURVE)
    return logged.groupby(stretches).mean()


def _reference(axes: Axes, value: float, label: str, colour: Any, linestyle: str) -> None:
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


def _curves_in_words(results: Results) -> str:
    run = results.runs[0]
    first, last = run.log.iloc[0], run.log.iloc[-1]
    return (
        f"Nine line plots over {last['epoch']:.3g} epochs. {run.name}: the loss goes from "
        f"{first['loss']:.2f} to {last['loss']:.2f} nats, the teacher's entropy from "
        f"{first['teacher_entropy']:.2f} to {last['teacher_entropy']:.2f} nats, the KL divergence "
        f"from {first['kl']:.2f} to {last['kl']:.2f} nats."
    )
