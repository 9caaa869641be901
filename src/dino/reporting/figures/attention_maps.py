"""The figure of the [CLS] attention maps on real images."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from numpy.typing import NDArray

from dino.core.paths import TEACHER
from dino.core.score import setting
from dino.reporting.kinds import RANDOM_INIT, random_init_is
from dino.reporting.labels import Labels, labels
from dino.reporting.picture import ORANGE, WIDTH_IN, Picture, picture, words
from dino.reporting.results import Results, RunResults

NAME = "attention_maps"
COLOURS = "viridis"
MAX_HEADS = 6
MAX_EXAMPLES = 6
_LONGEST_NAME = 14
"""Characters beside or below a small image."""


def attention_maps(results: Results) -> Picture:
    """Images, their masks and each head's attention, for the first run that has any.

    Every map has its own scale, from 0 to its maximum: even attention, as that of a random
    init, is bright all over. Images without masks are shown without.
    """
    without = {
        run.name: run.details["attention"][TEACHER]["reason"]
        for run in results.runs
        if not _has_maps(run)
    }
    reasons = "; ".join(f"{name}: {reason}" for name, reason in without.items())
    shown = next((run for run in results.runs if _has_maps(run)), None)
    if shown is None:
        return words(NAME, f"No [CLS] attention to show: {reasons}.")
    missing = f" Not shown: {reasons}." if reasons else ""
    heads = shown.maps["teacher_maps"].shape[1]
    classes = class_labels(results, shown.maps["class_name"][:MAX_EXAMPLES])
    return picture(
        _draw(shown, classes),
        name=NAME,
        caption=(
            f"Attention of the [CLS] token of {shown.name}'s last block to the patches of test "
            f"images, and that of {random_init_is(shown.trained)}. Each map is scaled from 0 to "
            f"its maximum. {_of_masks(shown)}{missing}{classes.note}"
        ),
        alternative=(
            f"Grid of images: rows are test images, columns the image"
            f"{', its ground-truth mask' if _has_masks(shown) else ''}, and the attention maps of "
            f"the heads ({heads} in all) of the teacher and of its random init. Mean Jaccard index "
            f"of the teacher: {_jaccard(shown)}."
        ),
    )


def class_labels(results: Results, shown: Iterable[Any]) -> Labels:
    """Labels of the classes of small images, with the numbers that all figures have."""
    return labels(results.dataset["classes"], _LONGEST_NAME, shown={str(name) for name in shown})


def _has_maps(run: RunResults) -> bool:
    return run.maps["teacher_maps"].size > 0


def _has_masks(run: RunResults) -> bool:
    return run.maps["mask"].size > 0


def _of_masks(run: RunResults) -> str:
    if not _has_masks(run):
        return f"Without masks: {run.details['attention'][TEACHER]['reason']}."
    return (
        "Orange: the mask of the best head, whose map is framed, over the image and the ground "
        "truth, with its Jaccard index."
    )


def _jaccard(run: RunResults) -> str:
    mass = run.details["attention"]["headline"].partition("@")[2]
    by_paper = setting(protocol="paper", mass=mass)
    asked = [r for r in run.rows if (r["model"], r["setting"]) == (TEACHER, by_paper)]
    if not asked or asked[0]["value"] is None:
        return "not measured"
    low, high = asked[0]["low"], asked[0]["high"]
    interval = "" if low is None else f" [{low:.2f}, {high:.2f}]"
    return f"{asked[0]['value']:.2f} %{interval}"


def _draw(run: RunResults, classes: Labels) -> Figure:
    maps = run.maps
    heads = _best_heads(maps["teacher_jaccard"], maps["teacher_maps"].shape[1])
    titles = ["image", "ground truth"] if _has_masks(run) else ["image"]
    before = len(titles)
    titles += [f"{name}\nhead {head + 1}" for name in (run.kind, RANDOM_INIT) for head in heads]
    figure, grid = _grid(min(MAX_EXAMPLES, len(maps["image"])), before, len(heads))
    for i, row in enumerate(grid):
        row[0].imshow(maps["image"][i], interpolation="nearest")
        name = classes.drawn.get(str(maps["class_name"][i]), "")
        row[0].set_ylabel(name, fontsize="small")
        _draw_maps(row[before:], maps, i, heads)
        if _has_masks(run):
            _draw_masks(row, maps, i, heads)
    for axes, title in zip(grid[0], titles, strict=True):
        axes.set_title(title, fontsize="small", fontweight="normal", loc="center", pad=4)
    return figure


def _grid(rows: int, before: int, heads: int) -> tuple[Figure, list[list[Axes]]]:
    """Square cells: `before` of them, `heads` maps, a gap, `heads` maps; a scale below them."""
    left, gap, between, top, below, scale = 0.3, 0.05, 0.2, 0.5, 0.3, 0.65  # inches
    columns = before + 2 * heads
    cell = (WIDTH_IN - left - 2 * between - columns * gap) / max(columns, 6)
    height = top + rows * (cell + below) + scale
    figure = Figure(figsize=(WIDTH_IN, height))
    grid: list[list[Axes]] = []
    for row in range(rows):
        y = height - top - row * (cell + below) - cell
        grid.append([])
        for column in range(columns):
            gaps = between * ((column >= before) + (column >= before + heads))
            x = left + column * (cell + gap) + gaps
            box = (x / WIDTH_IN, y / height, cell / WIDTH_IN, cell / height)
            grid[-1].append(figure.add_axes(box, xticks=[], yticks=[]))
    bar = figure.add_axes((0.3, 0.45 / height, 0.4, 0.1 / height))
    figure.colorbar(ScalarMappable(cmap=COLOURS), cax=bar, orientation="horizontal")
    bar.set_xlabel("attention of [CLS] to a patch, as a share of the map's maximum")
    return figure, grid


def _best_heads(jaccard: NDArray[Any], heads: int) -> list[int]:
    """At most MAX_HEADS heads, those of the highest mean Jaccard index, in their own order.

    The first ones where nothing was scored.
    """
    ranked = np.argsort(-jaccard.mean(axis=0), kind="stable") if len(jaccard) else range(heads)
    return sorted(int(head) for head in ranked[:MAX_HEADS])


def _draw_maps(row: list[Axes], maps: dict[str, NDArray[Any]], i: int, heads: list[int]) -> None:
    shown = [maps[key][i, head] for key in ("teacher_maps", "random_init_maps") for head in heads]
    for axes, attention in zip(row, shown, strict=True):
        axes.imshow(attention, cmap=COLOURS, vmin=0, vmax=attention.max(), interpolation="nearest")


def _draw_masks(row: list[Axes], maps: dict[str, NDArray[Any]], i: int, heads: list[int]) -> None:
    """The ground truth in the second column; the best head's mask over it and the image."""
    row[1].imshow(maps["mask"][i], cmap="gray", vmin=0, vmax=1, interpolation="nearest")
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
