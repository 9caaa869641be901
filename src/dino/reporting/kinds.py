"""What each kind of features is called, in tables, figures, the page and the model card alike."""

from collections.abc import Mapping
from typing import Any

from dino.core.paths import TEACHER

TRAINED = "DINO"
"""A teacher that was trained here."""
GIVEN = "given weights"
"""A teacher that was trained elsewhere and evaluated here."""
RANDOM_INIT = "random init"
RAW_PIXELS = "raw pixels"


def teacher_kind(trained: bool) -> str:
    """The kind of a run's teacher."""
    return TRAINED if trained else GIVEN


def random_init_is(trained: bool) -> str:
    """What random init is beside such a teacher."""
    return "the same network " + ("before its first step" if trained else "with random weights")


def source_of(weights: Mapping[str, Any], quote: str = "") -> str:
    """Where given weights are from: the section `architectures.NAME.weights`, in words.

    `quote` stands around names, such as that of code in Markdown.
    """
    if weights.get("file"):
        return f"the {weights.get('network') or TEACHER} in {quote}{weights['file']}{quote}"
    if weights.get("timm"):
        return f"timm's {quote}{weights['timm']}{quote}"
    return f"{quote}{weights.get('folder')}{quote}"
