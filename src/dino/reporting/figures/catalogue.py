"""All figures of the report."""

from typing import Any

from dino.reporting.figures.accuracy import accuracy
from dino.reporting.figures.attention_maps import attention_maps
from dino.reporting.figures.attention_ranking import attention_ranking
from dino.reporting.figures.class_map import class_map
from dino.reporting.figures.collapse import collapse
from dino.reporting.figures.robustness import robustness
from dino.reporting.figures.training_curves import training_curves
from dino.reporting.picture import Picture, house_style
from dino.reporting.results import Results


def all_pictures(results: Results, summary: dict[str, Any], prototypes: int) -> tuple[Picture, ...]:
    """Every figure of the report; equal results give equal bytes.

    `prototypes`: the size K of the distributions that student and teacher compare.
    """
    with house_style():
        return (
            accuracy(results, summary),
            training_curves(results, summary, prototypes),
            collapse(results, prototypes),
            attention_maps(results),
            attention_ranking(results),
            class_map(results),
            robustness(results, summary),
        )
