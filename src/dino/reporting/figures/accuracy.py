"""Accuracies of every run beside its baselines."""

import math
from typing import Any

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dino.reporting.picture import BLUE, GREEN, ORANGE, WIDTH_IN, Picture, picture
from dino.reporting.results import Results


def accuracy(results: Results, summary: dict[str, Any]) -> Picture:
    """k-NN and linear accuracy of every group, of its random init, and of raw pixels."""
    if results.no_accuracies:
        return _nothing(results.no_accuracies)
    by_architecture = summary["baselines"]["random_init"]["by_architecture"]
    raw_pixels = summary["baselines"]["raw_pixels"]
    figure = Figure(figsize=(WIDTH_IN, 1.7 + 0.4 * len(results.groups)), layout="constrained")
    titles = {
        "knn_top1": f"k-NN, k = {results.headline}",
        "linear_top1": "Linear classifier, last epoch",
    }
    measured = [key for key in titles if raw_pixels[key] is not None]
    panels = figure.subplots(1, len(measured), sharey=True, squeeze=False)[0]
    for axes, key in zip(panels, measured, strict=True):
        points = pd.DataFrame(
            [
                (group.label, features, scores[key])
                for group in results.groups
                for features, scores in (
                    ("DINO", summary["groups"][group.name]["mean"]),
                    ("random init", by_architecture[group.architecture]),
                )
            ],
            columns=pd.Index(["group", "features", "top1"]),
        )
        _dumbbells(axes, points, raw_pixels[key])
        for place, group in enumerate(results.groups):
            _seeds(axes, place, [summary["runs"][run.name][key] for run in group.runs])
        axes.set_title(titles[key], pad=20)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    first = results.runs[0]
    return picture(
        figure,
        name="accuracy",
        caption=(
            "Top-1 accuracy on the test split of a k-NN and a linear classifier on frozen features "
            "of each trained teacher, of the same network before its first step (mean over seeds), "
            "and of the raw pixels." + _of_seeds(results) + results.not_trained
        ),
        alternative=(
            f"Dot plot. {first.name}: k-NN {summary['runs'][first.name]['knn_top1']:.2f} %, random "
            f"init {by_architecture[first.architecture]['knn_top1']:.2f} %, raw pixels "
            f"{raw_pixels['knn_top1']:.2f} %. All numbers stand in the accuracy table."
        ),
    )


def _of_seeds(results: Results) -> str:
    if not results.has_seeds:
        return ""
    return " Of several seeds the mean, and each of them as a small dot."


def _seeds(axes: Axes, place: int, scores: list[float]) -> None:
    """Every seed's score beside its mean, at the height of row `place`."""
    if len(scores) > 1:
        axes.plot(scores, [place + 0.25] * len(scores), ".", color=BLUE, alpha=0.7, zorder=4)


def _nothing(reason: str) -> Picture:
    figure = Figure(figsize=(WIDTH_IN, 0.8), layout="constrained")
    figure.text(0.5, 0.5, f"No accuracies to show: {reason}.", ha="center", va="center")
    return picture(
        figure,
        name="accuracy",
        caption=f"No accuracies were measured: {reason}.",
        alternative=f"No accuracies were measured: {reason}. The tables say the same.",
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
        y="group",
        hue="features",
        style="features",
        palette={"DINO": BLUE, "random init": ORANGE},
        markers={"DINO": "o", "random init": "D"},
        s=70,
        zorder=3,
        ax=axes,
    )
    axes.legend().remove()
    for group, rows in points.groupby("group", sort=False):
        low, high = rows["top1"].min(), rows["top1"].max()
        axes.hlines(str(group), low, high, color="0.6", linewidth=2, zorder=2)
        for value, offset, side in ((low, -8, "right"), (high, 8, "left")):
            axes.annotate(
                f"{value:.1f}",
                (value, str(group)),
                xytext=(offset, 0),
                textcoords="offset points",
                ha=side,
                va="center",
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
            )
    everything = [*points["top1"], raw_pixels]
    # room for the lower number, which stands to the left of its point
    room = max(3, 0.12 * (max(everything) - min(everything)))
    axes.set_xlim(
        max(-10, 5 * math.floor((min(everything) - room) / 5)),
        min(102, 5 * math.ceil((max(everything) + 3) / 5)),
    )
    axes.set_ylim(points["group"].nunique() - 0.4, -0.6)
    axes.set(xlabel="top-1 on test (%)", ylabel="")
