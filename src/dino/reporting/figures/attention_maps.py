"""The figure of the [CLS] attention maps on real images."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from numpy.typing import NDArray

from dino.core.paths import TEACHER
from dino.reporting.picture import ORANGE, WIDTH_IN, Picture, picture
from dino.reporting.results import Results, RunResults

NAME = "attention_maps"
COLOURS = "viridis"
MAX_HEADS = 6
MAX_EXAMPLES = 6


def attention_maps(results: Results) -> Picture:
    """Images, their masks and each head's attention, for the first run that has any.

    Every map has its own scale, from 0 to its maximum: even attention, as that of a random
    init, is bright all over.
    """
    without = {
        run.name: run.attention[TEACHER]["reason"] for run in results.runs if not _has_maps(run)
    }
    shown = next((run for run in results.runs if _has_maps(run)), None)
    if shown is None:
        return _nothing(without)
    missing = "".join(f" Not shown: {name} ({reason})." for name, reason in without.items())
    heads = shown.maps["teacher_maps"].shape[1]
    return picture(
        _draw(shown),
        name=NAME,
        caption=(
            f"Attention of the [CLS] token of {shown.name}'s last block to the patches of test "
            "images, and that of the same network before its first step. Each map is scaled from "
            "0 to its maximum. Orange: the mask of the best head, whose map is framed, over the "
            f"image and the ground truth, with its Jaccard index.{missing}"
        ),
        alternative=(
            f"Grid of images: rows are test images, columns the image, its ground-truth mask, and "
            f"the attention maps of the heads ({heads} in all) of the trained teacher and of its "
            f"random init. Mean Jaccard index of the teacher: {_jaccard(shown)}."
        ),
    )


def _has_maps(run: RunResults) -> bool:
    return run.maps["teacher_maps"].size > 0


def _jaccard(run: RunResults) -> str:
    mass = run.attention["headline"].partition("@")[2]
    scores = run.attention[TEACHER]["scores"].get(f"paper@{mass}")
    return "not measured" if scores is None else f"{scores['jaccard']:.2f} %"


def _nothing(reasons: dict[str, Any]) -> Picture:
    text = "\n".join(f"{name}: {reason}" for name, reason in reasons.items())
    figure = Figure(figsize=(WIDTH_IN, 0.8 + 0.25 * len(reasons)), layout="constrained")
    figure.text(0.5, 0.5, f"No [CLS] attention to show.\n{text}", ha="center", va="center")
    return picture(
        figure,
        name=NAME,
        caption="No run has [CLS] attention to show.",
        alternative=f"No attention maps. {text}",
    )


def _draw(run: RunResults) -> Figure:
    maps = run.maps
    heads = _best_heads(maps["teacher_jaccard"])
    figure, grid = _grid(rows=min(MAX_EXAMPLES, len(maps["image"])), heads=len(heads))
    for i, row in enumerate(grid):
        _draw_example(row, maps, i, heads)
    titles = ["image", "ground truth"]
    titles += [f"{name}\nhead {head + 1}" for name in ("DINO", "random init") for head in heads]
    for axes, title in zip(grid[0], titles, strict=True):
        axes.set_title(title, fontsize="small", fontweight="normal", loc="center", pad=4)
    return figure


def _grid(rows: int, heads: int) -> tuple[Figure, list[list[Axes]]]:
    """Square cells: image and truth, `heads` maps, a gap, `heads` maps; a scale below them."""
    left, gap, between, top, below, scale = 0.3, 0.05, 0.2, 0.5, 0.3, 0.65  # inches
    columns = 2 + 2 * heads
    cell = (WIDTH_IN - left - 2 * between - columns * gap) / columns
    height = top + rows * (cell + below) + scale
    figure = Figure(figsize=(WIDTH_IN, height))
    grid: list[list[Axes]] = []
    for row in range(rows):
        y = height - top - row * (cell + below) - cell
        grid.append([])
        for column in range(columns):
            gaps = between * ((column >= 2) + (column >= 2 + heads))
            x = left + column * (cell + gap) + gaps
            box = (x / WIDTH_IN, y / height, cell / WIDTH_IN, cell / height)
            grid[-1].append(figure.add_axes(box, xticks=[], yticks=[]))
    bar = figure.add_axes((0.3, 0.45 / height, 0.4, 0.1 / height))
    figure.colorbar(ScalarMappable(cmap=COLOURS), cax=bar, orientation="horizontal")
    bar.set_xlabel("attention of [CLS] to a patch, as a share of the map's maximum")
    return figure, grid


def _best_heads(jaccard: NDArray[Any]) -> list[int]:
    """At most MAX_HEADS heads, those of the highest mean Jaccard index, in their own order."""
    ranked = np.argsort(-jaccard.mean(axis=0), kind="stable")
    return sorted(int(head) for head in ranked[:MAX_HEADS])


def _draw_example(row: list[Axes], maps: dict[str, NDArray[Any]], i: int, heads: list[int]) -> None:
    row[0].imshow(maps["image"][i], interpolation="nearest")
    row[0].set_ylabel(str(maps["class_name"][i]), fontsize="small")
    row[1].imshow(maps["mask"][i], cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    for first, key in ((2, "teacher_maps"), (2 + len(heads), "random_init_maps")):
        for position, head in enumerate(heads):
            attention = maps[key][i, head]
            row[first + position].imshow(
                attention, cmap=COLOURS, vmin=0, vmax=attention.max(), interpolation="nearest"
            )
    jaccard = maps["teacher_jaccard"][i]
    # the best of all heads may be one that is not shown
    best = int(jaccard.argmax())
    for axes in row[:2]:
        _outline(axes, maps["teacher_masks"][i, best])
    row[1].set_xlabel(f"Jaccard {100 * jaccard[best]:.0f} %", fontsize="small", labelpad=2)
    if best in heads:
        for spine in row[2 + heads.index(best)].spines.values():
            spine.set(color=ORANGE, linewidth=2.5)


def _outline(axes: Axes, mask: NDArray[np.bool_]) -> None:
    if not mask.any():
        return
    # a border of background closes the outline of a mask that touches the image's edge
    padded = np.pad(mask, 1).astype(float)
    height, width = padded.shape
    axes.contour(
        np.arange(width) - 1,
        np.arange(height) - 1,
        padded,
        levels=[0.5],
        colors=[ORANGE],
        linewidths=1.5,
    )
    axes.set(xlim=(-0.5, width - 2.5), ylim=(height - 2.5, -0.5))
