"""Accuracies of every run beside its baselines."""

import math
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dino.reporting.kinds import GIVEN, RANDOM_INIT, RAW_PIXELS, TRAINED
from dino.reporting.picture import BLUE, GREEN, ORANGE, PURPLE, WIDTH_IN, Picture, picture, words
from dino.reporting.results import Results
from dino.reporting.summary import DECIMALS, Scores

NAME = "accuracy"
LOOKS = {
    TRAINED: (BLUE, "o"),
    GIVEN: (PURPLE, "s"),
    RANDOM_INIT: (ORANGE, "D"),
    RAW_PIXELS: (GREEN, "^"),
}
"""Colour and marker of each kind of features."""


def accuracy(results: Results, summary: dict[str, Any]) -> Picture:
    """k-NN and linear accuracy of every group, of its random init, and of raw pixels."""
    if results.no_accuracies:
        return words(NAME, f"No accuracies were measured: {results.no_accuracies}.")
    by_architecture = summary["baselines"]["random_init"]["by_architecture"]
    raw_pixels = summary["baselines"]["raw_pixels"]
    figure = Figure(figsize=(WIDTH_IN, 1.9 + 0.45 * len(results.groups)), layout="constrained")
    titles = {
        "knn_top1": f"k-NN, k = {results.headline}",
        "linear_top1": "Linear classifier, last epoch",
    }
    measured = [key for key in titles if raw_pixels.get(key) is not None]
    panels = figure.subplots(1, len(measured), sharey=True, squeeze=False)[0]
    for axes, key in zip(panels, measured, strict=True):
        _draw_raw_pixels(axes, raw_pixels, key)
        shown = [raw_pixels[key]]
        for place, group in enumerate(results.groups):
            rows = (
                (group.kind, summary["groups"][group.name]["mean"]),
                (RANDOM_INIT, by_architecture[group.architecture]),
            )
            shown += _draw_row(axes, place, key, rows)
            _draw_seeds(axes, place, [summary["runs"][run.name][key] for run in group.runs])
        _set_up(axes, shown, [group.label for group in results.groups])
        axes.set_title(titles[key], pad=20)
    handles, labels = panels[0].get_legend_handles_labels()
    once = dict(zip(labels, handles, strict=True))
    figure.legend(once.values(), once.keys(), loc="outside lower center", ncols=len(once))
    first = results.runs[0]
    return picture(
        figure,
        name=NAME,
        caption=(
            "Top-1 accuracy on the test split of a k-NN and a linear classifier on frozen features "
            f"of each teacher, of {results.random_init_is} (mean over seeds), and of the raw "
            "pixels. Bars and the green band: 95 % bootstrap intervals over the test images."
            + _of_seeds(results)
            + results.not_trained
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
    return " Of several seeds the mean, with the mean of their bounds, and each as a small dot."


def _draw_seeds(axes: Axes, place: int, scores: list[float | None]) -> None:
    """Every seed's score beside its mean, at the height of row `place`."""
    measured = [score for score in scores if score is not None]
    if len(measured) > 1:
        axes.plot(measured, [place + 0.25] * len(measured), ".", color=BLUE, alpha=0.7, zorder=4)


def _draw_raw_pixels(axes: Axes, scores: Scores, key: str) -> None:
    value, low, high = (scores.get(f"{key}{end}") for end in ("", "_low", "_high"))
    assert value is not None
    if low is not None and high is not None:
        axes.axvspan(low, high, color=GREEN, alpha=0.15, linewidth=0, zorder=0)
    axes.axvline(value, color=GREEN, linestyle="--", zorder=1, label=RAW_PIXELS)
    axes.annotate(
        f"{RAW_PIXELS} {value:.{DECIMALS}f}",
        (value, 1),
        xytext=(0, 3),
        xycoords=("data", "axes fraction"),
        textcoords="offset points",
        ha="center",
        color=GREEN,
    )


def _draw_row(
    axes: Axes, place: int, key: str, rows: tuple[tuple[str, Scores], ...]
) -> list[float]:
    """The points of one group, their intervals and numbers; returns everything that was drawn."""
    points = {kind: scores[key] for kind, scores in rows}
    known = {kind: value for kind, value in points.items() if value is not None}
    drawn = list(known.values())
    if len(drawn) > 1:
        axes.hlines(place, min(drawn), max(drawn), color="0.8", linewidth=2, zorder=2)
    for kind, scores in rows:
        if (value := known.get(kind)) is None:
            continue
        colour, marker = LOOKS[kind]
        axes.plot(value, place, marker, color=colour, markersize=8, zorder=3, label=kind)
        low, high = scores.get(f"{key}_low"), scores.get(f"{key}_high")
        if low is not None and high is not None:
            error = [[max(0.0, value - low)], [max(0.0, high - value)]]
            axes.errorbar(value, place, xerr=error, color="0.2", capsize=4, linewidth=1, zorder=4)
            drawn += [low, high]
        # the number stands outside of the pair
        left = len(known) > 1 and value == min(known.values())
        axes.annotate(
            f"{value:.{DECIMALS}f}",
            ((low if left else high) or value, place),
            xytext=(-7 if left else 7, 0),
            textcoords="offset points",
            ha="right" if left else "left",
            va="center",
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1, "alpha": 0.8},
        )
    return drawn


def _set_up(axes: Axes, shown: list[float], names: list[str]) -> None:
    # room for the numbers beside the points
    room = max(4, 0.18 * (max(shown) - min(shown)))
    axes.set_xlim(
        max(-12, 5 * math.floor((min(shown) - room) / 5)),
        min(112, 5 * math.ceil((max(shown) + room) / 5)),
    )
    axes.set_xticks([tick for tick in axes.get_xticks() if 0 <= tick <= 100])
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set(xlabel="top-1 on test (%)", ylabel="")
