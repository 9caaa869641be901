"""The long table of all scores: one row a number, whatever the evaluation that found it."""

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from dino.core.score import setting_values

COLUMNS = (
    "dataset",
    "run",
    "architecture",
    "variant",
    "seed",
    "model",
    "evaluation",
    "setting",
    "metric",
    "value",
    "low",
    "high",
    "n",
    "unit",
    "key",
)
"""The columns of the long table; a baseline has no run, architecture, variant and seed."""
_TYPES = {
    **dict.fromkeys(("value", "low", "high"), "float64"),
    **dict.fromkeys(("seed", "n"), "Int64"),
}


def long_table(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """`rows` with COLUMNS; text that a row lacks is empty, and so is a number."""
    frame = pd.DataFrame(list(rows), columns=list(COLUMNS))
    texts = [name for name in COLUMNS if name not in _TYPES]
    return frame.fillna(dict.fromkeys(texts, "")).astype({**dict.fromkeys(texts, "str"), **_TYPES})


def with_settings(scores: pd.DataFrame) -> pd.DataFrame:
    """`scores` with a column for each name in their settings, such as split and k; as text.

    It is empty where a setting lacks the name.
    """
    values = pd.DataFrame(map(setting_values, scores["setting"]), index=scores.index)
    return scores.join(values.fillna(""))
