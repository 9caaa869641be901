"""What a user may ask about: `dino why` takes names and paths and finds what they mean."""

from pathlib import Path, PurePosixPath

from dino.core.artifacts import read_json
from dino.core.errors import DinoError
from dino.core.paths import Project
from dino.core.pipeline import read_pipeline
from dino.core.stages import SHARED
from dino.reporting.why.cells import Cells, origin_of_cell, origin_of_whole, read_cells
from dino.reporting.why.evidence import Evidence, stage_of, value_at
from dino.reporting.why.origin import Origin, Source, origin_of_key, sources_of_run

RECORDS = "records"
OF_ALL = (
    *("report.html", "provenance.json", "metrics.json", "scores.csv", "scores.parquet"),
    *("tables", "figures", "figures_svg"),
)
"""Files and folders of the report that everything is in."""


def find(project: Project, asked: str) -> tuple[Evidence, Origin]:
    """What `asked` names and the folder in which it stands.

    Raises `DinoError`, one line with what is known, where it names nothing.
    """
    path, _, inside = asked.partition(":")
    parts = _below(project, path)
    if parts and parts[0] == RECORDS:
        if len(parts) < 2 or not (project.root / RECORDS / parts[1]).is_dir():
            known = sorted(p.name for p in (project.root / RECORDS).glob("*") if p.is_dir())
            raise DinoError(f"{asked}: expected one of records/ ({', '.join(known) or 'none'})")
        evidence = Evidence(project=project, folder=project.root / RECORDS / parts[1])
        rest = parts[2:]
        if not rest:
            return evidence, _named(evidence, inside)
        return evidence, _file(evidence, rest, inside)
    evidence = Evidence(project=project, folder=project.results)
    if parts and parts[0] == project.results.name:
        return evidence, _file(evidence, parts[1:], inside)
    if parts:
        return evidence, _output(evidence, "/".join(parts))
    return evidence, _named(evidence, asked)


def _below(project: Project, path: str) -> tuple[str, ...]:
    """The parts of a path below the project's root; none for a name that is no path."""
    try:
        if "/" not in path and not Path(path).exists():
            return ()
    except OSError:
        # longer than a file's name can be
        return ()
    try:
        return Path(path).absolute().relative_to(project.root.absolute()).parts
    except ValueError:
        raise DinoError(f"{path}: expected a path below {project.root}") from None


def _named(evidence: Evidence, asked: str) -> Origin:
    """A run, a group, a key of summary.json, a figure, RUN:SCORE or TABLE:ROW:COLUMN."""
    first, colon, rest = asked.partition(":")
    if first in evidence.names("tables", ".csv"):
        return _cell(evidence, first, rest)
    groups = evidence.summary.get("groups", {})
    subject = (
        ("runs", first)
        if first in evidence.runs
        else ("groups", first, "mean")
        if first in groups
        else ()
    )
    if subject and colon:
        return origin_of_key(evidence, (*subject, *rest.split(".")))
    if first in evidence.runs:
        return Origin(name=f"run {first}", sources=sources_of_run(first))
    if subject:
        return origin_of_key(evidence, subject[:2])
    if asked.partition(".")[0] in evidence.summary:
        return origin_of_key(evidence, tuple(asked.split(".")))
    if asked in evidence.names("figures", ".png"):
        return origin_of_whole(evidence, evidence.folder / "figures" / f"{asked}.png")
    raise DinoError(_nothing(evidence, asked))


def _cell(evidence: Evidence, table: str, place: str) -> Origin:
    """TABLE:ROW:COLUMN, where the row's words may hold colons; of TABLE alone what these can be."""
    row, colon, column = place.rpartition(":")
    if not place:
        return _names_of_cells(read_cells(evidence, table))
    if not colon:
        read_cells(evidence, table).row(place)
        raise DinoError(f"{table}:{place}: expected a column too, as {table}:{place}:COLUMN")
    return origin_of_cell(evidence, table, row, column)


def _names_of_cells(cells: Cells) -> Origin:
    rows = [f"row {i}: {cells.label(row)}" for i, row in enumerate(cells.rows, start=1)]
    columns = "columns: " + ", ".join(cells.columns)
    ask = f"ask for {cells.name}:ROW:COLUMN, with a row's number or words"
    return Origin(name=cells.name, places=(str(cells.path), *rows, columns, ask), sources=())


def _file(evidence: Evidence, parts: tuple[str, ...], inside: str) -> Origin:
    """A file of the folder, or what `inside` names in it."""
    path = evidence.folder.joinpath(*parts)
    if not path.exists():
        raise DinoError(f"{path}: no such file")
    name = path.stem
    match parts:
        case ("tables", _):
            return _cell(evidence, name, inside)
        case ("figures" | "figures_svg", _):
            return origin_of_whole(evidence, path)
        case ("summary.json",):
            return origin_of_key(evidence, tuple(inside.split(".")) if inside else ())
        case ("provenance", shared, _) if shared in SHARED:
            return _in_file(path, Source(stage=shared), inside)
        case ("runs", run, *below):
            stage = stage_of(name)
            if stage is not None:
                inside = "" if below[0] == "provenance" else inside
                return _in_file(path, Source(stage=stage, run=run), inside)
        case (*_, _) if name in SHARED:
            return _in_file(path, Source(stage=name), inside)
        case (whole,) if whole in OF_ALL:
            everything = [source for run in evidence.runs for source in sources_of_run(run)]
            sources = (*everything, Source(stage="baselines"))
            return Origin(name=path.name, places=(str(path),), sources=sources)
    raise DinoError(f"{path}: no stage of the workflow says that it made this file")


def _in_file(path: Path, source: Source, inside: str) -> Origin:
    if not inside:
        return Origin(name=path.name, places=(str(path),), sources=(source,))
    if path.suffix != ".json":
        raise DinoError(f"{path}:{inside}: expected a JSON file before the colon")
    keys = tuple(int(key) if key.isdigit() else key for key in inside.split("."))
    value = read_json(path)
    for key in keys:
        # the numbers of neighbours are keys of text
        below = value_at(value, (key,)) if isinstance(value, list) else value_at(value, (str(key),))
        if below is None:
            known = ", ".join(value) if isinstance(value, dict) else "no names"
            raise DinoError(f"{path}: no {key} of {inside}; known: {known}")
        value = below
    shown = None if isinstance(value, dict | list) else str(value)
    return Origin(name=inside, value=shown, places=(f"{path}: {inside}",), sources=(source,))


def _output(evidence: Evidence, path: str) -> Origin:
    """A file that a stage of this project makes, such as a checkpoint."""
    for step in read_pipeline(evidence.project.root):
        if any(PurePosixPath(path).is_relative_to(output) for output in step.outputs):
            return Origin(
                name=path, places=(path,), sources=(Source(stage=step.stage, run=step.run),)
            )
    raise DinoError(f"{path}: no stage of the workflow says that it makes this file")


def _nothing(evidence: Evidence, asked: str) -> str:
    tables = ", ".join(evidence.names("tables", ".csv")) or "none"
    figures = ", ".join(evidence.names("figures", ".png")) or "none"
    return (
        f"{asked}: expected a run ({', '.join(evidence.runs)}), RUN:SCORE, a key of summary.json "
        f"({', '.join(evidence.summary)}), TABLE:ROW:COLUMN (tables: {tables}), a figure "
        f"({figures}) or a file"
    )
