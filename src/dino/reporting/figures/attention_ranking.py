"""The figure of the images on which the attention masks do best, middling and worst."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from dino.core.paths import TEACHER
from dino.reporting.figures.attention_maps import class_labels
from dino.reporting.picture import WIDTH_IN, Picture, picture, words
from dino.reporting.results import Results

NAME = "attention_ranking"
PER_ROW = 3
"""Images in a row; a row each for the best, the median and the worst."""
_KINDS = ("image", "ground truth", "mask")


def attention_ranking(results: Results) -> Picture:
    """Images, truth, masks and Jaccard index, best first, for the first run that has any."""
    shown = next((run for run in results.runs if len(run.maps["ranked_image"])), None)
    if shown is None:
        return words(NAME, f"No attention masks to rank: {_why_none(results)}.")
    maps, images = shown.maps, shown.details["attention"]["protocol"]["images"]
    scores = maps["ranked_jaccard"]
    mass = shown.details["attention"]["headline"].partition("@")[2]
    classes = class_labels(results, maps["ranked_class_name"])
    return picture(
        _draw(maps, classes.drawn),
        name=NAME,
        caption=(
            f"The test images on which the attention masks of {shown.name} are best, about the "
            f"median, and worst, of {images}, by the paper's protocol with {100 * float(mass):g} "
            "% of the mass: the image, the ground truth (grey: void), and the mask of the image's "
            f"best head, with rank and Jaccard index.{classes.note}"
        ),
        alternative=(
            f"Grid of {len(scores)} test images with ground truth and attention mask, in the order "
            f"of their Jaccard index: from {scores[0]:.0f} % to {scores[-1]:.0f} %."
        ),
    )


def _why_none(results: Results) -> str:
    reasons = [run.details["attention"][TEACHER]["reason"] for run in results.runs]
    known = dict.fromkeys(reason for reason in reasons if reason)
    return "; ".join(known) or "the paper's protocol is not among attention.protocols"


def _draw(maps: dict[str, NDArray[Any]], drawn: dict[str, str]) -> Figure:
    count = len(maps["ranked_image"])
    rows = -(-count // PER_ROW)
    figure = Figure(figsize=(WIDTH_IN, 0.4 + 1.35 * rows))
    titles = ("best", "median", "worst") if rows == PER_ROW else ("",) * rows
    left, gap, between = 0.04, 0.006, 0.02  # shares of the width
    cell = (1 - left - (PER_ROW - 1) * between - PER_ROW * len(_KINDS) * gap) / (
        PER_ROW * len(_KINDS)
    )
    height = figure.get_figheight()
    side = cell * WIDTH_IN / height
    for i in range(count):
        row, column = divmod(i, PER_ROW)
        bottom = 1 - (0.35 + 1.35 * row) / height - side
        for position, kind in enumerate(_KINDS):
            x = left + column * (len(_KINDS) * (cell + gap) + between) + position * (cell + gap)
            axes = figure.add_axes((x, bottom, cell, side), xticks=[], yticks=[])
            _show(axes, maps, i, kind, drawn)
            if row == 0:
                axes.set_title(kind, fontsize="small", fontweight="normal", loc="center", pad=4)
            if column == position == 0:
                axes.set_ylabel(titles[row], fontsize="medium", fontweight="bold")
    return figure


def _show(
    axes: Axes, maps: dict[str, NDArray[Any]], i: int, kind: str, drawn: dict[str, str]
) -> None:
    if kind == "image":
        axes.imshow(maps["ranked_image"][i], interpolation="nearest")
        name = str(maps["ranked_class_name"][i])
        axes.set_xlabel(drawn.get(name, ""), fontsize="x-small", labelpad=2)
    elif kind == "ground truth":
        truth = maps["ranked_truth"][i]
        # objects white, void grey
        shades = np.where(truth == 0, 0.0, np.where(truth == 255, 0.5, 1.0))
        axes.imshow(shades, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        axes.set_xlabel(f"rank {maps['ranked_rank'][i]}", fontsize="x-small", labelpad=2)
    else:
        axes.imshow(maps["ranked_mask"][i], cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        score = f"Jaccard {maps['ranked_jaccard'][i]:.0f} %"
        axes.set_xlabel(score, fontsize="x-small", labelpad=2)
