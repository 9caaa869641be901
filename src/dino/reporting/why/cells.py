"""Which numbers of summary.json, or which stages, a cell of a table was made from."""

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from dino.core.errors import DinoError
from dino.reporting.tables.catalogue import PIVOTS
from dino.reporting.tables.paper import COMPARISONS
from dino.reporting.why.evidence import Evidence, stage_of, value_at
from dino.reporting.why.origin import (
    Origin,
    Source,
    base_of,
    origin_of_key,
    origin_of_rows,
    path_of,
)

STAGES: Mapping[str, tuple[str, ...]] = {
    "training_curves": ("pretrain",),
    "collapse": ("pretrain",),
    "attention_maps": ("attention",),
    "attention_ranking": ("attention",),
    "paper_crops": ("linear_paper", "pretrain"),
    "paper_throughput": ("features",),
}
"""The stages whose results figures and tables show which are no pivots of the scores."""
PARAMETERS = "parameters"
"""The table whose cells are parameters: nothing was measured."""


@dataclass(frozen=True, kw_only=True)
class Cells:
    """A table of the report, read from its CSV."""

    name: str
    path: Path
    columns: tuple[str, ...]
    rows: tuple[dict[str, str], ...]

    def label(self, row: dict[str, str]) -> str:
        """What tells a row from the others: its text, before the numbers begin."""
        texts = []
        settings = PIVOTS[self.name].by if self.name in PIVOTS else ()
        for column in self.columns:
            number = _number(row[column]) is not None and column not in settings
            if number or not row[column]:
                break
            texts.append(row[column])
        return ", ".join(texts) or next(iter(row.values()))

    def row(self, typed: str) -> dict[str, str]:
        """The row of that number (from 1), or the only one with all the words of `typed`."""
        if typed.isdigit() and 1 <= int(typed) <= len(self.rows):
            return self.rows[int(typed) - 1]
        labels = [self.label(row) for row in self.rows]
        words = [_words(label.casefold()) for label in labels]
        for wanted in (_words(typed.casefold()), _words(typed.casefold().replace("_", " "))):
            found = [i for i, of_row in enumerate(words) if wanted <= of_row]
            # the whole name of a row may be the beginning of other rows' names
            found = [i for i in found if wanted == words[i]] or found
            found = [i for i in found if labels[i].endswith(typed)] or found
            if len(found) == 1:
                return self.rows[found[0]]
            if found:
                several = "; ".join(f"{i + 1}: {labels[i]}" for i in found)
                raise DinoError(f"{self.path}: {typed} names several rows ({several})")
        known = "; ".join(f"{i + 1}: {label}" for i, label in enumerate(labels))
        raise DinoError(f"{self.path}: no row {typed}; known: {known}")

    def column(self, typed: str) -> str:
        """`typed`, if it is a column."""
        if typed not in self.columns:
            raise DinoError(f"{self.path}: no column {typed}; known: {', '.join(self.columns)}")
        return typed


def read_cells(evidence: Evidence, name: str) -> Cells:
    """The table `name`; raises `DinoError` where there is none."""
    path = evidence.folder / "tables" / f"{name}.csv"
    if not path.is_file():
        known = ", ".join(evidence.names("tables", ".csv")) or "none"
        raise DinoError(f"{path}: no such table; known: {known}")
    with path.open(encoding="utf-8", newline="") as stream:
        reader = csv.DictReader(stream)
        columns = tuple(reader.fieldnames or ())
        return Cells(name=name, path=path, columns=columns, rows=tuple(reader))


def origin_of_cell(evidence: Evidence, name: str, typed_row: str, typed_column: str) -> Origin:
    """The origin of the cell in the row and the column that the words name."""
    cells = read_cells(evidence, name)
    row, column = cells.row(typed_row), cells.column(typed_column)
    stands = f"{cells.path}: row {1 + cells.rows.index(row)} ({cells.label(row)}), column {column}"
    value = row[column] or "not measured"
    if name in PIVOTS:
        return _in_pivot(evidence, cells, row, column, stands)
    if name == PARAMETERS:
        note = f"{evidence.parameters}, or the default of what it leaves out"
        return Origin(name=typed_row, value=value, places=(stands, note), sources=())
    if column.startswith(("paper", "reference")):
        note = "published: src/dino/reporting/paper.csv; nothing here was computed for it"
        return Origin(name=column, value=value, places=(stands, note), sources=())
    # its rows name settings, not runs: all that the table was made from
    whole = origin_of_whole(evidence, cells.path)
    places = (stands, "published numbers: src/dino/reporting/paper.csv; ours: these runs")
    return Origin(name=column, value=value, places=places, sources=whole.sources)


def _in_pivot(
    evidence: Evidence, cells: Cells, row: dict[str, str], column: str, stands: str
) -> Origin:
    """The origin of a cell, looked up among the scores by what the table says of its columns."""
    pivot = PIVOTS[cells.name]
    scores = pivot.scores(evidence.scores, evidence.given)
    own = scores[scores["features"] == row.get("features")]
    for name in pivot.by:
        own = own[own[name] == row.get(name)]
    if own.empty:
        raise DinoError(f"{stands}: no scores of it in {evidence.folder / 'scores.csv'}; the table "
                        "is older than they are, and `dino report` writes it anew")  # fmt: skip
    text = row[column] or "not measured"
    about = pivot.columns.get(base_of(column).removesuffix("_sd"))
    rows = own if about is None else about.rows(own)
    if about is not None and about.minus:
        rows = pd.concat([rows, about.rows(pivot.compared_with(about, scores, own))])
    path = None if about is None or about.minus else path_of(rows)
    if path is None or column.endswith("_sd"):
        found = origin_of_rows(evidence, rows)
        return replace(found, name=column, value=text, places=(stands, *found.places))
    path = (*path[:-1], path[-1] + column[len(base_of(column)) :])
    origin = origin_of_key(evidence, path)
    number = _number(value_at(evidence.summary, path))
    if number == _number(row[column]):
        return replace(origin, name=path[-1], places=(stands, *origin.places))
    problem = (
        f"{cells.path}: {text} where {evidence.folder / 'summary.json'} has "
        f"{'nothing' if number is None else number}; run `dino report`"
    )
    places, problems = (stands, *origin.places), (*origin.problems, problem)
    return replace(origin, name=path[-1], value=text, places=places, problems=problems)


def origin_of_whole(evidence: Evidence, path: Path) -> Origin:
    """The origin of a whole figure or table: of everything that it shows."""
    return Origin(
        name=path.stem,
        places=(str(path),),
        sources=tuple(
            source
            for stage in stages_of(path.stem)
            for source in (
                Source(stage="baselines"),
                *(Source(stage=stage, run=run) for run in evidence.runs),
            )
        ),
    )


def stages_of(name: str) -> tuple[str, ...]:
    """The stages whose numbers the table or figure `name` shows."""
    if name in STAGES:
        return STAGES[name]
    if name in PIVOTS:
        return PIVOTS[name].evaluations or (name,)
    for comparison in COMPARISONS:
        if comparison.name == name:
            scores = [row.score for row in comparison.published if row.score]
            return tuple(dict.fromkeys(stage for score in scores if (stage := stage_of(score))))
    return ()


def _words(text: str) -> set[str]:
    return set(re.split(r"[\s,;:()]+", text)) - {""}


def _number(value: object) -> float | None:
    try:
        return float(str(value))
    except ValueError:
        return None
