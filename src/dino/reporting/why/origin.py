"""Which scores, and so which result files, a number was made from."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

import pandas as pd

from dino.core.artifacts import read_json
from dino.core.errors import DinoError
from dino.core.paths import RANDOM_INIT, TEACHER
from dino.core.stages import PER_RUN
from dino.reporting.why.evidence import Evidence

ENDS = ("low", "high")
"""The ends of an interval: NAME_low and NAME_high stand beside NAME."""
_ROW = ("model", "setting", "metric")
"""What tells the rows of a result file apart."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """A result file."""

    stage: str
    run: str | None = None
    """None for a stage that all runs share."""
    evaluation: str | None = None
    """The part of it: in the baselines, the evaluation whose scores were used."""


@dataclass(frozen=True, kw_only=True)
class Origin:
    """What was asked for, and what it was made from."""

    name: str
    value: str | None = None
    places: tuple[str, ...] = ()
    """Where the value stands, from the table down to the result files."""
    sources: tuple[Source, ...]
    problems: tuple[str, ...] = field(default=())
    """Where two places disagree."""


def origin_of_key(evidence: Evidence, path: tuple[str, ...]) -> Origin:
    """The origin of the number, or of all numbers, at `path` in summary.json.

    Raises `DinoError` that names what is known where `path` leads nowhere.
    """
    value = _look_up(evidence, path)
    key, summary = ".".join(path), evidence.folder / "summary.json"
    rows = rows_at(evidence, path)
    stands = (f"{summary}: {key}" if path else str(summary),)
    if isinstance(value, Mapping):
        sources = sources_of(rows)
        if path[:1] == ("dataset",) or not path:
            sources = (Source(stage="prepare"), *sources)
        return Origin(name=key or "summary.json", places=stands, sources=sources)
    found = origin_of_rows(evidence, rows)
    problems = list(found.problems)
    measured = [number for _, number in _stated(evidence, rows) if number is not None]
    known = _is_mean(path) and isinstance(value, float) and 0 < len(measured) == len(rows)
    # summary.json has two decimals
    if known and abs(fmean(measured) - value) > 0.0051:
        problems.append(
            f"{summary}: {key} is {value}, but the result files say {fmean(measured):.2f}; "
            "run `dino report`"
        )
    return Origin(
        name=key,
        value=with_interval(_look_up(evidence, path[:-1]), path[-1]),
        places=(*stands, *found.places),
        sources=found.sources or (Source(stage="prepare"),),
        problems=tuple(problems),
    )


def origin_of_rows(evidence: Evidence, rows: pd.DataFrame) -> Origin:
    """The origin of what was computed from `rows` of the long table."""
    return Origin(
        name="scores",
        places=tuple(text for text, _ in _stated(evidence, rows)),
        sources=sources_of(rows),
    )


def rows_at(evidence: Evidence, path: tuple[str, ...]) -> pd.DataFrame:
    """The rows of the long table that what stands at `path` in summary.json was made from."""
    rows = evidence.scores
    if path[:1] in (("runs",), ("groups",)):
        rows = rows[rows["model"] == TEACHER]
    elif path[:1] == ("baselines",):
        rows = rows[(rows["run"] == "") | (rows["model"] == RANDOM_INIT)]
    elif path:
        return rows.iloc[:0]
    rows = rows.assign(group=rows["architecture"] + "-" + rows["variant"])
    for name in path[1:]:
        for column in ("run", "group", "model", "architecture", "key"):
            named = rows[column] == base_of(name)
            if named.any():
                rows = rows[named]
                break
    return rows[rows["key"] != ""]


def sources_of(rows: pd.DataFrame) -> tuple[Source, ...]:
    """The result files that have the rows."""
    found = (
        Source(stage=evaluation, run=run, evaluation=evaluation)
        if run
        else Source(stage="baselines", evaluation=evaluation)
        for evaluation, run in zip(rows["evaluation"], rows["run"], strict=True)
    )
    return tuple(dict.fromkeys(found))


def sources_of_run(run: str) -> tuple[Source, ...]:
    """Every result file of a run."""
    return tuple(Source(stage=stage, run=run) for stage in PER_RUN)


def path_of(rows: pd.DataFrame) -> tuple[str, ...] | None:
    """The place in summary.json of the mean of `rows`, which are seeds; None where it has none."""
    keys, models = set(rows["key"]), set(rows["model"])
    if len(keys) != 1 or len(models) != 1 or "" in keys:
        return None
    (key,), (model,) = keys, models
    first = rows.iloc[0]
    if model == TEACHER:
        if len(rows) == 1:
            return ("runs", first["run"], key)
        return ("groups", f"{first['architecture']}-{first['variant']}", "mean", key)
    if model == RANDOM_INIT:
        return ("baselines", model, "by_architecture", first["architecture"], key)
    return ("baselines", model, key)


def base_of(score: str) -> str:
    """`score` without the end of its interval."""
    for end in ENDS:
        score = score.removesuffix(f"_{end}")
    return score


def with_interval(scores: Mapping[str, Any], key: str) -> str:
    """The number `key`, and its 95 % interval where it has one."""
    value, low, high = (scores.get(name) for name in (key, *(f"{key}_{end}" for end in ENDS)))
    text = "not measured" if value is None else str(value)
    return text if low is None or high is None else f"{text} [{low}, {high}]"


def _look_up(evidence: Evidence, path: tuple[str, ...]) -> Any:
    value: Any = evidence.summary
    for depth, key in enumerate(path):
        if not isinstance(value, Mapping) or key not in value:
            known = "nothing below it"
            if isinstance(value, Mapping):
                known = ", ".join(name for name in value if base_of(name) == name)
            where = ".".join(path[:depth]) or "its sections"
            raise DinoError(
                f"{evidence.folder / 'summary.json'}: no {key} in {where}; known: {known}"
            )
        value = value[key]
    return value


def _is_mean(path: tuple[str, ...]) -> bool:
    """Whether the number is the mean of those in the result files; one is its own mean."""
    if not path or base_of(path[-1]) != path[-1]:
        return False
    return path[0] in ("runs", "baselines") or path[2:3] == ("mean",)


def _stated(evidence: Evidence, rows: pd.DataFrame) -> Iterable[tuple[str, float | None]]:
    """Each of the rows as its result file has it now: a line of text, and the number."""
    for row in rows.to_dict("records"):
        stage = row["evaluation"] if row["run"] else "baselines"
        path = evidence.result(stage, row["run"] or None)
        if not path.is_file():
            yield f"{path}: not kept here", None
            continue
        content = read_json(path)
        if "scores" not in content:
            yield f"{path}", None  # from before results had rows of scores
            continue
        wanted = {name: row[name] for name in _ROW}
        number = next(
            (
                score["value"]
                for score in content["scores"]
                if {name: score[name] for name in _ROW} == wanted
                and score.get("evaluation", row["evaluation"]) == row["evaluation"]
            ),
            None,
        )
        what = ", ".join(value for value in wanted.values() if value)
        yield f"{path}: {what} = {'not measured' if number is None else f'{number:g}'}", number
