"""Which numbers of summary.json, or which stages, a cell of a table was made from."""

import csv
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from dino.core.errors import DinoError
from dino.core.paths import RANDOM_INIT
from dino.core.stages import PER_RUN
from dino.reporting.scores import low_shot_name, stage_of, value_at
from dino.reporting.why.evidence import Evidence
from dino.reporting.why.origin import (
    ENDS,
    RAW_PIXELS,
    Origin,
    Source,
    origin_of_key,
    sources_of_key,
)

Key = tuple[str, ...]

STAGES: Mapping[str, tuple[str, ...]] = {
    "accuracy": ("knn", "linear", "linear_paper"),
    "training_curves": ("pretrain",),
    "collapse": ("pretrain",),
    "paper_main": ("knn", "linear_paper"),
    "paper_components": ("knn", "linear_paper"),
    "paper_teacher": ("knn",),
    "paper_centering": ("knn", "linear_paper"),
    "paper_crops": ("linear_paper", "pretrain"),
    "paper_batch_size": ("knn",),
    "paper_prototypes": ("knn",),
    "paper_center_momentum": ("knn",),
    "paper_temperature": ("knn",),
    "paper_low_shot": ("low_shot",),
    "paper_attention": ("attention",),
    "paper_throughput": ("features",),
    "paper_other": ("finetune",),
}
"""Of the tables and figures that are not named after the stage which measured their numbers."""
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
        for column in self.columns:
            if _number(row[column]) is not None or not row[column]:
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
    """Of the cell in the row and the column that the words name."""
    cells = read_cells(evidence, name)
    row, column = cells.row(typed_row), cells.column(typed_column)
    stands = f"{cells.path}: row {1 + cells.rows.index(row)} ({cells.label(row)}), column {column}"
    value = row[column] or "not measured"
    subjects = _subjects(evidence, row)
    key = _key(cells, row, column, subjects)
    if key is not None and key[-1] in (value_at(evidence.summary, key[:-1]) or {}):
        number = _number(value_at(evidence.summary, key))
        origin = origin_of_key(evidence, key)
        problems = list(origin.problems)
        if number != _number(row[column]):
            problems.append(
                f"{cells.path}: {value} where {evidence.folder / 'summary.json'} has "
                f"{'nothing' if number is None else number}; run `dino report`"
            )
        return Origin(
            name=key[-1],
            value=origin.value if number == _number(row[column]) else value,
            places=(stands, *origin.places),
            sources=origin.sources,
            problems=tuple(problems),
        )
    if name == PARAMETERS:
        note = f"{evidence.parameters}, or the default of what it leaves out"
        return Origin(name=typed_row, value=value, places=(stands, note), sources=())
    if name.startswith("paper_") and column.startswith(("paper", "reference")):
        note = "published: src/dino/reporting/paper.csv; nothing here was computed for it"
        return Origin(name=column, value=value, places=(stands, note), sources=())
    if name.startswith("paper_"):
        # its rows name settings, not runs: all that the table was made from
        whole = origin_of_whole(evidence, cells.path)
        places = (stands, "published numbers: src/dino/reporting/paper.csv; ours: these runs")
        return Origin(name=column, value=value, places=places, sources=whole.sources)
    stages = _stages_of_column(name, column)
    sources = [s for subject in subjects for s in _sources(evidence, subject, stages)]
    for subject in _compared_with(evidence, column, subjects):
        sources += _sources(evidence, subject, stages)
    return Origin(name=column, value=value, places=(stands,), sources=tuple(dict.fromkeys(sources)))


def origin_of_whole(evidence: Evidence, path: Path) -> Origin:
    """Of a figure or a table with all that it shows: the whole matrix."""
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
    """Those that the table or figure `name` shows numbers of."""
    if name == PARAMETERS:
        return ()
    stage = stage_of(name)
    return STAGES.get(name, () if stage is None else (stage,))


def _stages_of_column(table: str, column: str) -> tuple[str, ...]:
    # a column of words may be called features, as a stage is
    stage = None if column in PER_RUN else stage_of(column)
    return stages_of(table) if stage is None else (stage,)


def _subjects(evidence: Evidence, row: dict[str, str]) -> list[Key]:
    """Whose numbers stand in the row, as places in summary.json."""
    text = " ".join(row.values())
    words = _words(text)
    runs = [("runs", run) for run in evidence.runs if run in words]
    groups = [("groups", g, "mean") for g in evidence.summary.get("groups", ()) if g in words]
    if runs or groups:
        return [*runs, *groups]
    before = evidence.summary["baselines"][RANDOM_INIT]["by_architecture"]
    found: list[Key] = [
        ("baselines", RANDOM_INIT, "by_architecture", name) for name in before if name in words
    ]
    for name, written in ((RAW_PIXELS, "raw pixels"), ("centre_box", "centre box")):
        found += [("baselines", name)] if written in text else []
    return found + ([("baselines", "otsu")] if "Otsu" in text else [])


def _key(cells: Cells, row: dict[str, str], column: str, subjects: list[Key]) -> Key | None:
    """The place in summary.json of the very number in the cell; None where it has none."""
    if len(subjects) != 1:
        return None
    name = column
    if column in ENDS:
        # of the column before both
        measured = cells.columns[cells.columns.index(column) - 1 - ENDS.index(column)]
        name = f"{measured}_{column}"
    if cells.name == "low_shot" and row.get("share"):
        share = low_shot_name(float(row["share"].removesuffix("%")) / 100)
        name = name.replace("test_top1", share)
        name = f"{share}_deviation" if column == "deviation" else name
    # protocols other than the headline's stand in the table alone
    if stage_of(name) is None or "_minus_" in name or "@" in cells.label(row):
        return None
    return (*subjects[0], name)


def _compared_with(evidence: Evidence, column: str, subjects: list[Key]) -> Iterable[Key]:
    """What a difference was taken from."""
    _, minus, baseline = column.partition("minus_")
    if baseline == RAW_PIXELS:
        yield ("baselines", RAW_PIXELS)
    elif minus:
        for subject in subjects:
            architecture = subject[1].partition("-")[0]
            yield ("baselines", RANDOM_INIT, "by_architecture", architecture)


def _sources(evidence: Evidence, subject: Key, stages: tuple[str, ...]) -> list[Source]:
    """The files of `stages` that the subject's numbers come from."""
    return [
        source
        for source in sources_of_key(evidence, subject)
        if source.stage in (*stages, "baselines")
    ]


def _words(text: str) -> set[str]:
    return set(re.split(r"[\s,;:()]+", text)) - {""}


def _number(value: object) -> float | None:
    try:
        return float(str(value))
    except ValueError:
        return None
