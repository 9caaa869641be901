"""The annotations in the rows of a manifest of the user's own."""

import json
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pandas as pd

from dino.core.configuration.dataset import ColumnsConfig
from dino.core.errors import DataError
from dino.data.annotations import Annotations, Box, Matches


def annotations_in(table: pd.DataFrame, columns: ColumnsConfig, title: str) -> list[Annotations]:
    """The annotations of each row of `table`; columns may be absent.

    Lists are lists in Parquet and JSON in CSV. Raises `DataError`, which begins with `title`, for
    a cell that is not a list, and for a match that is not an image of the table.
    """
    known = frozenset(table[columns.path].astype(str))
    rows = table.to_dict("records")
    return [
        _annotations(_Row(title=f"{title}: row {number}", cells=dict(cells)), columns, known)
        for number, cells in enumerate(rows, start=1)
    ]


@dataclass(frozen=True, kw_only=True)
class _Row:
    title: str
    cells: dict[Any, Any]

    def cell(self, column: str) -> Any:
        """None where there is nothing."""
        value = self.cells.get(column)
        missing = value is None or (np.ndim(value) == 0 and bool(pd.isna(value)))
        return None if missing else value

    def listed(self, column: str) -> list[Any] | None:
        value = self.cell(column)
        try:
            value = json.loads(value) if isinstance(value, str) else value
        except ValueError:
            raise self.problem(column, f"a list in JSON, got {value!r:.80}") from None
        if value is not None and not isinstance(value, list | np.ndarray):
            raise self.problem(column, f"a list, got {value!r:.80}")
        return None if value is None else list(value)

    def problem(self, column: str, expected: str) -> DataError:
        return DataError(f"{self.title}, column {column!r}: expected {expected}")


def _annotations(row: _Row, columns: ColumnsConfig, known: frozenset[str]) -> Annotations:
    sequence = row.cell(columns.sequence)
    lists = (columns.easy, columns.hard, columns.junk)
    easy, hard, junk = (_ids(row, column, known) for column in lists)
    is_query = any(row.cell(column) is not None for column in lists)
    return Annotations(
        boxes=_boxes(row, columns.boxes),
        sequence=None if sequence is None else str(sequence),
        frame=_frame(row, columns.frame),
        matches=Matches(easy=easy, hard=hard, junk=junk) if is_query else None,
    )


def _ids(row: _Row, column: str, known: frozenset[str]) -> tuple[str, ...]:
    ids = tuple(map(str, row.listed(column) or ()))
    for name in ids:
        if name not in known:
            raise row.problem(column, f"images of the table, got {name!r:.80}")
    return ids


def _frame(row: _Row, column: str) -> int | None:
    value = row.cell(column)
    if value is None:
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = float("nan")
    # beside empty cells, whole numbers are written as 1.0
    if not number.is_integer():
        raise row.problem(column, f"a whole number, got {value!r:.80}")
    return int(number)


def _boxes(row: _Row, column: str) -> tuple[Box, ...] | None:
    boxes = row.listed(column)
    try:
        return None if boxes is None else tuple(map(_box, boxes))
    except (KeyError, TypeError, ValueError):
        expected = "class_name, left_px, top_px, right_px and bottom_px of each box"
        raise row.problem(column, expected) from None


def _box(values: Any) -> Box:
    unknown = set(values) - {field.name for field in fields(Box)}
    if unknown:
        raise ValueError(f"unknown: {', '.join(sorted(unknown))}")
    return Box(
        class_name=str(values["class_name"]),
        left_px=float(values["left_px"]),
        top_px=float(values["top_px"]),
        right_px=float(values["right_px"]),
        bottom_px=float(values["bottom_px"]),
        ignore=bool(values.get("ignore", False)),
    )
