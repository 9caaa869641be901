"""Accuracy with the labels of few training images."""

from typing import Any

import pandas as pd

from dino.core.score import DEVIATION
from dino.reporting.results import Results
from dino.reporting.tables.pivot import Column, Pivot


def _caption(results: Results) -> str:
    return (
        "Logistic regression on the features of few labelled training images, drawn several "
        "times in proportion to the classes: accuracy in percent on the test split. Brackets: "
        "95 % bootstrap interval over the test images. Random init is "
        f"{results.random_init_is}, the mean over its seeds."
    )


def _share(results: Results, _: pd.DataFrame, own: pd.DataFrame) -> dict[str, Any]:
    """How many images the share of the labels is, and how often they were drawn."""
    (labels,) = own["labels"].unique()
    # the images drawn do not depend on the features
    images = results.measured("low_shot")["drawn"][labels][0]
    draws = own[own["metric"] == DEVIATION]["n"].iloc[0]
    return {"images": str(images), "draws": str(draws)}


def _where(metric: str) -> dict[str, str]:
    return {"evaluation": "low_shot", "metric": metric, "draw": ""}


LOW_SHOT = Pivot(
    name="low_shot",
    caption=_caption,
    columns={
        "test_top1": Column("Top-1, mean over draws", where=_where("top1")),
        "deviation": Column("Deviation over draws", where=_where(DEVIATION), interval=False),
    },
    by={"labels": "Labels"},
    words={"images": "Images", "draws": "Draws"},
    more=_share,
)
"""A row for each share of labels and each kind of features."""
