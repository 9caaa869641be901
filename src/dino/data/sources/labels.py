"""Which cells of a table name a class, and which say that an image has none."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

from dino.core.errors import DataError

UNLABELLED = -1
# <NA> is pandas' own text for what is missing
_NO_LABEL = ("", "nan", "null", "<na>")


def named_classes(cells: Iterable[Any], title: str) -> list[Any]:
    """The class that each cell names; None (unlabelled) for missing, blank, NaN, null and -1.

    Raises `DataError`, which begins with `title`, for a cell that cannot be a label.
    """
    known: dict[Any, Any] = {}
    named = []
    for cell in cells:
        try:
            if cell not in known:
                known[cell] = _class_of(cell, title)
        except TypeError:
            raise DataError(
                f"{title}: expected one name or number of a class in each row, got {cell!r:.80}"
            ) from None
        named.append(known[cell])
    return named


def numbered(named: Iterable[Any], classes: Sequence[Any]) -> list[int]:
    """The place in `classes` of each; -1 where it is None or none of them."""
    place = {value: index for index, value in enumerate(classes)}
    return [place.get(value, UNLABELLED) for value in named]


def _class_of(cell: Any, title: str) -> Any:
    text = str(cell).strip()
    if cell is None or text.lower() in _NO_LABEL:
        return None
    try:
        number = float(text)
    except ValueError:
        number = math.inf
    if number == UNLABELLED:
        return None
    if number < 0:
        raise DataError(
            f"{title}: expected a name or number of a class, or -1 (unlabelled), got {text:.80}"
        )
    return cell
