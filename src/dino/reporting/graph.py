"""The picture of the workflow: where each stage stands, and which arrows join them."""

from dataclasses import dataclass
from itertools import count

from dino.core.stages import STAGES, ancestors


@dataclass(frozen=True, kw_only=True)
class Node:
    """A stage's place in the picture: columns from left to right, rows from the top."""

    name: str
    column: int
    row: int
    per_run: bool


def edges() -> tuple[tuple[str, str], ...]:
    """The (from, to) pairs that are worth drawing: those that no longer path implies."""
    return tuple(
        (source, target)
        for target, stage in STAGES.items()
        for source in stage.reads
        if not any(source in ancestors(other) for other in stage.reads)
    )


def nodes() -> tuple[Node, ...]:
    """Every stage, one column to the right of the furthest of its inputs.

    A stage has its row to itself until the column of the stage that reads it, so that an arrow
    which runs along the row crosses no box.
    """
    columns: dict[str, int] = {}
    for name, stage in STAGES.items():
        columns[name] = max((columns[source] + 1 for source in stage.reads), default=0)
    taken: set[tuple[int, int]] = set()
    placed = []
    for name, column in columns.items():
        readers = [columns[target] for source, target in edges() if source == name]
        lane = range(column, max(readers, default=column + 1))
        row = next(row for row in count() if not any((c, row) in taken for c in lane))
        taken |= {(c, row) for c in lane}
        placed.append(Node(name=name, column=column, row=row, per_run=not STAGES[name].shared))
    return tuple(placed)
