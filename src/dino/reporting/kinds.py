"""What everything that has a score is called, in tables, figures, the page and the card alike."""

from collections.abc import Container, Mapping
from typing import Any

import pandas as pd

from dino.core.paths import RANDOM_INIT as RANDOM_INIT_MODEL
from dino.core.paths import TEACHER

TRAINED = "teacher"
"""A teacher that was trained here, by whatever variant."""
GIVEN = "given weights"
"""A teacher that was trained elsewhere and evaluated here."""
RANDOM_INIT = "random init"
RAW_PIXELS = "raw pixels"
NAMES = {
    TEACHER: TRAINED,
    RANDOM_INIT_MODEL: RANDOM_INIT,
    "raw_pixels": RAW_PIXELS,
    "centre_box": "centre box",
    "otsu": "Otsu's threshold",
}
"""By the model's name in the scores; another is called by its name."""


def teacher_kind(trained: bool) -> str:
    """The kind of a run's teacher."""
    return TRAINED if trained else GIVEN


def random_init_is(trained: bool) -> str:
    """What random init is beside such a teacher."""
    return "the same network " + ("before its first step" if trained else "with random weights")


def label_of_seeds(runs: list[str], variant_name: str) -> str:
    """What the runs of one architecture and variant are called: a single one by its own name."""
    return runs[0] if len(runs) == 1 else f"{variant_name}, {len(runs)} seeds"


def features_of(scores: pd.DataFrame, given: Container[str]) -> pd.Series:
    """What the features of each row of the long table are called, in tables and figures.

    The seeds of a teacher share a name, and so do all random inits of an architecture. `given`:
    the runs whose teacher was trained elsewhere.
    """
    names: dict[tuple[str, ...], str] = {}
    for (architecture, variant), rows in scores.groupby(["architecture", "variant"], sort=False):
        runs = [str(run) for run in rows["run"].unique()]
        label = label_of_seeds(runs, f"{architecture}-{variant}")
        for run in runs:
            names[TEACHER, run] = f"{teacher_kind(run not in given)}, {label}"
            names[RANDOM_INIT_MODEL, run] = f"{RANDOM_INIT}, {architecture}"
    found = [
        names.get((model, run)) or NAMES.get(model, model.replace("_", " "))
        for model, run in zip(scores["model"], scores["run"], strict=True)
    ]
    return pd.Series(found, index=scores.index, dtype="str")


def source_of(weights: Mapping[str, Any], quote: str = "") -> str:
    """Where given weights are from: the section `architectures.NAME.weights`, in words.

    `quote` stands around names, such as that of code in Markdown.
    """
    if weights.get("file"):
        return f"the {weights.get('network') or TEACHER} in {quote}{weights['file']}{quote}"
    if weights.get("timm"):
        return f"timm's {quote}{weights['timm']}{quote}"
    return f"{quote}{weights.get('folder')}{quote}"
