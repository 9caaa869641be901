"""The figure of the classes: a map by t-SNE and a dendrogram of their mean features."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from scipy.cluster.hierarchy import dendrogram

from dino.core.paths import TEACHER
from dino.reporting.labels import Labels, labels
from dino.reporting.picture import BLUE, WIDTH_IN, Picture, palette, picture, words
from dino.reporting.results import Results

NAME = "class_map"


def class_map(results: Results) -> Picture:
    """The classes of the first run, in the colours of their superclasses."""
    run = results.runs[0]
    found = run.details[NAME]
    if TEACHER not in found:
        return words(NAME, f"No map of the classes: {found['reason']}.")
    about = found[TEACHER]
    if not about["linkage"]:
        return words(NAME, f"No map of the classes: {_why_none(about)}.")
    classes = labels(found["classes"])
    superclasses = labels(list(dict.fromkeys(found["superclass_of"] or ())))
    number = _number(results, about)
    return picture(
        _draw(found, classes, superclasses),
        name=NAME,
        caption=(
            f"The classes by the mean of {run.name}'s [CLS] features on {found['split']}. "
            "Left: PCA and t-SNE of the means, whose axes have no meaning. Right: average-linkage "
            f"clustering of their cosine distances; {number}.{_left_out(about)}"
            f"{classes.note}{superclasses.note}"
        ),
        alternative=(
            f"Scatter plot and dendrogram of {len(_placed(found))} classes; "
            f"{number}. In the dendrogram's order: {', '.join(_order(found))}."
        ),
    )


def _why_none(about: dict[str, Any]) -> str:
    if about["left_out"]:
        return "fewer than two classes have a mean feature that is not zero"
    return "the data set has one"


def _number(results: Results, about: dict[str, Any]) -> str:
    """The correlation with its interval, in words."""
    scores = results.scores
    of_run = scores[(scores["run"] == results.runs[0].name) & (scores["model"] == TEACHER)]
    found = of_run[of_run["evaluation"] == "class_map"].set_index("metric")
    spearman = found.loc["spearman"]
    if pd.isna(spearman["value"]):
        return f"no number ({about['spearman_reason']})"
    low, high = spearman["low"], spearman["high"]
    bounds = "" if pd.isna(low) else f" [{low:.2f}, {high:.2f}]"
    return (
        f"Spearman correlation of the distances with the superclasses {spearman['value']:.2f}"
        f"{bounds} (at most {found.loc['spearman_highest', 'value']:.2f})"
    )


def _left_out(scores: dict[str, Any]) -> str:
    reasons = [f"{name} ({reason})" for name, reason in scores["left_out"].items()]
    return f" Left out: {', '.join(reasons)}." if reasons else ""


def _placed(result: dict[str, Any]) -> list[str]:
    """The classes that the clustering knows, in its order."""
    return [name for name in result["classes"] if name not in result[TEACHER]["left_out"]]


def _colours(result: dict[str, Any]) -> dict[str, Any]:
    """A colour for each class: its superclass's."""
    groups = result["superclass_of"]
    if groups is None:
        return dict.fromkeys(result["classes"], BLUE)
    of_group = palette(tuple(dict.fromkeys(groups)))
    return {name: of_group[group] for name, group in zip(result["classes"], groups, strict=True)}


def _order(result: dict[str, Any]) -> list[str]:
    tree = dendrogram(np.array(result[TEACHER]["linkage"]), no_plot=True)
    return [_placed(result)[leaf] for leaf in tree["leaves"]]


def _draw(result: dict[str, Any], classes: Labels, superclasses: Labels) -> Figure:
    height = min(30.0, max(4.5, 1 + 0.2 * len(result["classes"])))
    figure = Figure(figsize=(WIDTH_IN, height), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1.2, 1))
    colours = _colours(result)
    _draw_map(left, result, colours, classes.drawn)
    _draw_tree(right, result, colours, classes.drawn)
    if result["superclass_of"] is not None:
        of_group = dict(zip(result["superclass_of"], colours.values(), strict=True))
        handles = [
            Line2D([], [], color=colour, marker="o", linestyle="") for colour in of_group.values()
        ]
        texts = [superclasses.drawn[group] for group in of_group]
        columns = max(1, min(6, len(texts), 110 // max(map(len, texts))))
        figure.legend(handles, texts, loc="outside lower center", ncols=columns)
    return figure


def _draw_map(
    axes: Axes, result: dict[str, Any], colours: dict[str, Any], drawn: dict[str, str]
) -> None:
    axes.set_title("t-SNE of the class means")
    axes.set(xticks=[], yticks=[])
    places = result[TEACHER]["coordinates"]
    if places is None:
        reason = result[TEACHER]["coordinates_reason"]
        axes.text(0.5, 0.5, reason, ha="center", va="center", transform=axes.transAxes, wrap=True)
        return
    known = [(name, at) for name, at in zip(result["classes"], places, strict=True) if at]
    middle = np.mean([x for _, (x, _) in known])
    for name, (x, y) in known:
        axes.plot(x, y, "o", color=colours[name])
        # towards the middle, where there is room
        side = 1 if x <= middle else -1
        axes.annotate(
            drawn[name],
            (x, y),
            xytext=(6 * side, 0),
            textcoords="offset points",
            ha="left" if side > 0 else "right",
            va="center",
            fontsize="small" if len(places) <= 30 else "xx-small",
        )
    axes.margins(0.15)


def _draw_tree(
    axes: Axes, result: dict[str, Any], colours: dict[str, Any], drawn: dict[str, str]
) -> None:
    dendrogram(
        np.array(result[TEACHER]["linkage"]),
        labels=[drawn[name] for name in _placed(result)],
        orientation="left",
        color_threshold=0,
        above_threshold_color="0.4",
        leaf_font_size=9 if len(colours) <= 30 else 5,
        ax=axes,
    )
    for label, name in zip(axes.get_yticklabels(), _order(result), strict=True):
        label.set_color(colours[name])
    axes.grid(False)
    axes.set_title("Dendrogram")
    axes.set_xlabel("cosine distance")
