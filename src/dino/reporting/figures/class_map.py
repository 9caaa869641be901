"""The figure of the classes: a map by t-SNE and a dendrogram of their mean features."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from scipy.cluster.hierarchy import dendrogram

from dino.core.paths import TEACHER
from dino.reporting.picture import BLUE, WIDTH_IN, Picture, palette, picture
from dino.reporting.results import Results, RunResults

NAME = "class_map"


def class_map(results: Results) -> Picture:
    """The classes of the first run, in the colours of their superclasses."""
    run = results.runs[0]
    if TEACHER not in run.class_map:
        return _words(f"No map of the classes: {run.class_map['reason']}.")
    scores = run.class_map[TEACHER]
    if not scores["linkage"]:
        return _words("No map of the classes: the data set has one.")
    colours = _colours(run.class_map)
    spearman = scores["spearman"]
    number = (
        f"no number ({scores['spearman_reason']})"
        if spearman is None
        else f"Spearman correlation of the distances with the superclasses {spearman:.2f} "
        f"(at most {scores['spearman_highest']:.2f})"
    )
    return picture(
        _draw(run, colours),
        name=NAME,
        caption=(
            f"The classes by the mean of {run.name}'s [CLS] features on {run.class_map['split']}. "
            "Left: PCA and t-SNE of the means, whose axes have no meaning. Right: average-linkage "
            f"clustering of their cosine distances; {number}."
        ),
        alternative=(
            f"Scatter plot and dendrogram of {len(run.class_map['classes'])} classes; {number}. In "
            f"the dendrogram's order: {', '.join(_order(run.class_map))}."
        ),
    )


def _words(text: str) -> Picture:
    figure = Figure(figsize=(WIDTH_IN, 1), layout="constrained")
    figure.text(0.5, 0.5, text, ha="center", va="center")
    return picture(figure, name=NAME, caption=text, alternative=text)


def _colours(result: dict[str, Any]) -> dict[str, Any]:
    """A colour for each class: its superclass's."""
    groups = result["superclass_of"]
    if groups is None:
        return dict.fromkeys(result["classes"], BLUE)
    of_group = palette(tuple(dict.fromkeys(groups)))
    return {name: of_group[group] for name, group in zip(result["classes"], groups, strict=True)}


def _order(result: dict[str, Any]) -> list[str]:
    tree = dendrogram(np.array(result[TEACHER]["linkage"]), no_plot=True)
    return [str(result["classes"][leaf]) for leaf in tree["leaves"]]


def _draw(run: RunResults, colours: dict[str, Any]) -> Figure:
    classes = run.class_map["classes"]
    height = min(30.0, max(4.5, 1 + 0.2 * len(classes)))
    figure = Figure(figsize=(WIDTH_IN, height), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1.2, 1))
    _draw_map(left, run.class_map, colours)
    _draw_tree(right, run.class_map, colours)
    groups = run.class_map["superclass_of"]
    if groups is not None:
        of_group = {group: colours[name] for name, group in zip(classes, groups, strict=True)}
        handles = [
            Line2D([], [], color=colour, marker="o", linestyle="", label=group)
            for group, colour in of_group.items()
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=min(6, len(handles)))
    return figure


def _draw_map(axes: Axes, result: dict[str, Any], colours: dict[str, Any]) -> None:
    axes.set_title("t-SNE of the class means")
    axes.set(xticks=[], yticks=[])
    places = result[TEACHER]["coordinates"]
    if places is None:
        reason = result[TEACHER]["coordinates_reason"]
        axes.text(0.5, 0.5, reason, ha="center", va="center", transform=axes.transAxes, wrap=True)
        return
    for name, (x, y) in zip(result["classes"], places, strict=True):
        axes.plot(x, y, "o", color=colours[name])
        axes.annotate(
            name,
            (x, y),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            fontsize="small" if len(places) <= 30 else "xx-small",
        )
    axes.margins(0.15)


def _draw_tree(axes: Axes, result: dict[str, Any], colours: dict[str, Any]) -> None:
    dendrogram(
        np.array(result[TEACHER]["linkage"]),
        labels=result["classes"],
        orientation="left",
        color_threshold=0,
        above_threshold_color="0.4",
        leaf_font_size=9 if len(colours) <= 30 else 5,
        ax=axes,
    )
    for label in axes.get_yticklabels():
        label.set_color(colours[label.get_text()])
    axes.grid(False)
    axes.set_title("Dendrogram")
    axes.set_xlabel("cosine distance")
