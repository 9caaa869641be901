"""The figure of the [CLS] attention maps on real images."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
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
    return "teacher_maps" in run.maps and run.maps["teacher_maps"].size > 0


def _jaccard(run: RunResults) -> str:
    value = run.attention[TEACHER]["jaccard"]
    return "not measured" if value is None else f"{value:.2f} %"


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
    examples = min(MAX_EXAMPLES, len(maps["image"]))
    heads = _best_heads(maps["teacher_jaccard"])
    columns = 2 + 2 * len(heads)
    cell_in = WIDTH_IN / (columns + 0.6)
    figure = Figure(
        figsize=(WIDTH_IN, cell_in * examples + 0.22 * examples + 1.3),
        layout=ConstrainedLayoutEngine(w_pad=0.02, h_pad=0.03, wspace=0.01, hspace=0.01),
    )
    # an empty column stands between the two networks
    grid = figure.subplots(
        examples,
        columns + 1,
        squeeze=False,
        width_ratios=[1.0] * (2 + len(heads)) + [0.12] + [1.0] * len(heads),
    )
    for row in range(examples):
        for axes in grid[row]:
            axes.set(xticks=[], yticks=[])
            axes.grid(visible=False)
        grid[row, 2 + len(heads)].axis("off")
        _draw_example(grid[row], maps, row, heads)
    for axes, title in zip(grid[0], ("image", "ground truth"), strict=False):
        axes.set_title(title, fontsize="small", fontweight="normal", loc="center")
    for first, name in ((2, "DINO"), (3 + len(heads), "random init")):
        for position, head in enumerate(heads):
            grid[0, first + position].set_title(
                f"{name}\nhead {head + 1}", fontsize="small", fontweight="normal", loc="center"
            )
    figure.colorbar(
        ScalarMappable(cmap=COLOURS),
        ax=grid,
        location="bottom",
        label="attention of [CLS] to a patch, as a share of the map's maximum",
        shrink=0.4,
        aspect=40,
    )
    return figure


def _best_heads(jaccard: NDArray[Any]) -> list[int]:
    """At most MAX_HEADS heads, those of the highest mean Jaccard index, in their own order."""
    ranked = np.argsort(-np.nan_to_num(jaccard).mean(axis=0), kind="stable")
    return sorted(int(head) for head in ranked[:MAX_HEADS])


def _draw_example(
    row: NDArray[Any], maps: dict[str, NDArray[Any]], i: int, heads: list[int]
) -> None:
    row[0].imshow(maps["image"][i], interpolation="nearest")
    row[0].set_ylabel(str(maps["class_name"][i]), fontsize="small")
    row[1].imshow(maps["mask"][i], cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    for first, key in ((2, "teacher_maps"), (3 + len(heads), "random_init_maps")):
        for position, head in enumerate(heads):
            attention = maps[key][i, head]
            row[first + position].imshow(
                attention, cmap=COLOURS, vmin=0, vmax=attention.max(), interpolation="nearest"
            )
    jaccard = maps["teacher_jaccard"][i]
    if np.isnan(jaccard).all():
        return
    # the best of all heads may be one that is not shown
    best = int(np.nanargmax(jaccard))
    for axes in row[:2]:
        _outline(axes, maps["teacher_masks"][i, best])
    row[1].set_xlabel(f"head {best + 1}: {jaccard[best]:.0f} %", fontsize="small", labelpad=2)
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
