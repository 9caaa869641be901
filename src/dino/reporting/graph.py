"""The stages and what each reads, for the picture of the workflow."""

from dataclasses import dataclass
from itertools import count

_MEASURING: dict[str, tuple[str, ...]] = {
    "prepare": (),
    "pretrain": ("prepare",),
    "export": ("pretrain",),
    "features": ("prepare", "export"),
    "knn": ("prepare", "features"),
    "linear": ("prepare", "features"),
    "linear_paper": ("prepare", "export", "features"),
    "low_shot": ("prepare", "features"),
    "attention": ("prepare", "export"),
    "card": ("prepare", "pretrain", "export", "knn", "linear", "attention"),
    "class_map": ("prepare", "features"),
    "finetune": ("prepare", "export"),
    "robustness": ("prepare", "export", "features"),
    "baselines": ("prepare",),
}
DEPENDENCIES = {**_MEASURING, "report": tuple(_MEASURING)}
"""Stage: the stages whose outputs are its inputs."""

PROJECT_STAGES = ("prepare", "baselines")
"""Those that all runs share, the report apart."""
PER_RUN = tuple(stage for stage in _MEASURING if stage not in PROJECT_STAGES)
"""The stages that every run has its own of."""


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
        for target, sources in DEPENDENCIES.items()
        for source in sources
        if not any(source in ancestors(other) for other in sources)
    )


def nodes() -> tuple[Node, ...]:
    """Every stage, one column to the right of the furthest of its inputs.

    A stage has its row to itself until the column of the stage that reads it, so that an arrow
    which runs along the row crosses no box.
    """
    columns: dict[str, int] = {}
    for name, sources in DEPENDENCIES.items():
        columns[name] = max((columns[source] + 1 for source in sources), default=0)
    taken: set[tuple[int, int]] = set()
    placed = []
    for name, column in columns.items():
        readers = [columns[target] for source, target in edges() if source == name]
        lane = range(column, max(readers, default=column + 1))
        row = next(row for row in count() if not any((c, row) in taken for c in lane))
        taken |= {(c, row) for c in lane}
        placed.append(Node(name=name, column=column, row=row, per_run=name in PER_RUN))
    return tuple(placed)


def ancestors(stage: str) -> set[str]:
    """All stages whose outputs `stage` is made from, directly or not."""
    direct = DEPENDENCIES[stage]
    return set(direct).union(*(ancestors(source) for source in direct))
