"""Which results a number of summary.json was made from."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from dino.core.artifacts import read_json
from dino.core.errors import DinoError
from dino.core.paths import RANDOM_INIT, TEACHER
from dino.core.stages import PER_RUN
from dino.reporting.scores import Place, places, stage_of, value_at
from dino.reporting.why.evidence import Evidence

ENDS = ("low", "high")
"""Of an interval: NAME_low and NAME_high stand beside NAME."""
RAW_PIXELS = "raw_pixels"


@dataclass(frozen=True, kw_only=True)
class Source:
    """A result file, or one number in it."""

    stage: str
    run: str | None = None
    """None for a stage that all runs share."""
    of: str | None = None
    """Whose score: teacher, random_init or a baseline."""
    score: str | None = None
    """None: of the whole file."""


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
    """Of the number, or of all numbers, at `path` in summary.json.

    Raises `DinoError` that names what is known where `path` leads nowhere.
    """
    value = _look_up(evidence, path)
    key = ".".join(path)
    sources = tuple(dict.fromkeys(sources_of_key(evidence, path)))
    found = [(source, *_stated(evidence, source)) for source in sources]
    stands = [str(evidence.folder / "summary.json") + (f": {key}" if path else "")]
    stands += [text for _, text, _ in found if text]
    problems = []
    measured = [number for _, _, number in found if number is not None]
    if _is_mean(path) and isinstance(value, float) and 0 < len(measured) == len(found):
        mean = fmean(measured)
        # summary.json has two decimals
        if abs(mean - value) > 0.0051:
            problems.append(
                f"{evidence.folder / 'summary.json'}: {key} is {value}, but the result files say "
                f"{mean:.2f}; run `dino report`"
            )
    return Origin(
        name=key or "summary.json",
        value=None if isinstance(value, Mapping) else with_interval(evidence, path),
        places=tuple(stands),
        sources=sources,
        problems=tuple(problems),
    )


def sources_of_key(evidence: Evidence, path: tuple[str, ...]) -> Iterable[Source]:
    """The numbers in result files that the one at `path` in summary.json was computed from."""
    value = value_at(evidence.summary, path)
    if isinstance(value, Mapping):
        for key in value:
            for source in sources_of_key(evidence, (*path, key)):
                # of many numbers the files are named, not each place in them
                yield Source(stage=source.stage, run=source.run)
        return
    section, *names = path
    score = base_of(names[-1]) if names else section
    stage = stage_of(score)
    if section == "dataset":
        yield Source(stage="prepare")
    elif section == "baselines" and names[0] != RANDOM_INIT:
        yield Source(stage="baselines", of=names[0], score=score)
    elif stage is not None:
        of = RANDOM_INIT if section == "baselines" else TEACHER
        for run in _runs(evidence, path):
            yield Source(stage=stage, run=run, of=of, score=score)
    else:
        # a count, such as that of the seeds
        yield from (Source(stage="pretrain", run=run) for run in _runs(evidence, path))


def sources_of_run(run: str) -> tuple[Source, ...]:
    """Every result file of a run."""
    return tuple(Source(stage=stage, run=run) for stage in PER_RUN)


def base_of(score: str) -> str:
    """`score` without the end of its interval."""
    for end in ENDS:
        score = score.removesuffix(f"_{end}")
    return score


def with_interval(evidence: Evidence, path: tuple[str, ...]) -> str:
    """The number at `path` in summary.json, and its 95 % interval where it has one."""
    *above, key = path
    value, low, high = (
        value_at(evidence.summary, (*above, name))
        for name in (key, *(f"{key}_{end}" for end in ENDS))
    )
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


def _runs(evidence: Evidence, path: tuple[str, ...]) -> list[str]:
    """The run that the number at `path` is of, or those that it covers."""
    for name in path:
        if name in evidence.runs:
            return [name]
        for found in (evidence.runs_of(group=name), evidence.runs_of(architecture=name)):
            if found:
                return found
    return list(evidence.runs)


def _is_mean(path: tuple[str, ...]) -> bool:
    """Whether the number is the mean of those in the result files; one is its own mean."""
    if not path or base_of(path[-1]) != path[-1]:
        return False
    return path[0] in ("runs", "baselines") or path[2:3] == ("mean",)


def _stated(evidence: Evidence, source: Source) -> tuple[str, float | None]:
    """Where the result file has the number, as a line, and the number."""
    path = evidence.result(source.stage, source.run)
    if source.score is None:
        return "", None
    if not path.is_file():
        return f"{path}: not kept here", None
    result = read_json(path)
    place = _place(evidence, source, result)
    if place is None:
        return f"{path}", None
    number = value_at(result, place)
    stated = "not measured" if number is None else f"{number:g}"
    return f"{path}: {'.'.join(map(str, place))} = {stated}", number


def _place(evidence: Evidence, source: Source, result: Any) -> Place | None:
    score, of = source.score or "", source.of or ""
    if source.stage != "baselines":
        return places(source.stage, result, of).get(score)
    if of != RAW_PIXELS:
        return (of, "jaccard")
    stage = stage_of(score) or ""
    record = evidence.record("baselines", None)
    # the number of neighbours stands in the runs' files, and is the same parameter
    headline = value_at(record, ("parameters", "knn", "headline"))
    measured = {"headline": headline, stage: value_at(result, (of, stage)) or {}}
    place = places(stage, measured, stage).get(score)
    return None if place is None else (of, *place)
