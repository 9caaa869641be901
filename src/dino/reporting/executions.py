"""The report page's account of what the results were made from, without times and machines."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dino.reporting.table import NOT_MEASURED

_COMMIT, _HASH = 10, 12
"""Characters shown."""


@dataclass(frozen=True, kw_only=True)
class Execution:
    """One execution of a stage."""

    stage: str
    commit: str
    command: str
    data: str
    """The data set's fingerprint."""
    weights: tuple[tuple[str, str], ...]
    """(what, checksum) of the checkpoint or the models that it made or read."""
    precision: str
    seed: str


@dataclass(frozen=True, kw_only=True)
class Executions:
    """The stages of a run, or those that all runs share."""

    name: str
    stages: tuple[Execution, ...]
    packages: tuple[tuple[str, str], ...]
    """(stages, versions): one pair where all stages had the same."""

    @property
    def commits(self) -> str:
        """Every commit once."""
        return ", ".join(dict.fromkeys(stage.commit for stage in self.stages))


def executions(provenance: Mapping[str, Any]) -> tuple[Executions, ...]:
    """The rows for what `read_provenance` returned: the shared stages first, then each run."""
    shared = {stage: record for stage, record in provenance.items() if stage != "runs"}
    runs = provenance["runs"]
    return (
        _executions("Shared by all runs", shared),
        *(_executions(name, stages) for name, stages in runs.items()),
    )


def _executions(name: str, records: Mapping[str, Any]) -> Executions:
    stages_of: dict[str, list[str]] = {}
    for stage, record in records.items():
        stages_of.setdefault(_versions(record), []).append(stage)
    everywhere = len(stages_of) == 1
    return Executions(
        name=name,
        stages=tuple(_stage(stage, record) for stage, record in records.items()),
        packages=tuple(
            ("all stages" if everywhere else ", ".join(stages), versions)
            for versions, stages in stages_of.items()
        ),
    )


def _stage(stage: str, record: Mapping[str, Any]) -> Execution:
    hashes = {"checkpoint": record.get("checkpoint"), **(record.get("models") or {})}
    return Execution(
        stage=stage,
        commit=_commit(record.get("git") or {}),
        command=_text(record.get("command")),
        data=_text(record.get("data"), _HASH),
        weights=tuple(
            (what.replace("_", " "), str(value)[:_HASH]) for what, value in hashes.items() if value
        ),
        precision=_text(record.get("precision")),
        seed=_text(record.get("seed")),
    )


def _commit(git: Mapping[str, Any]) -> str:
    commit = _text(git.get("commit"), _COMMIT)
    return f"{commit} + changes" if git.get("dirty") else commit


def _versions(record: Mapping[str, Any]) -> str:
    versions = {"Python": record.get("python"), **(record.get("packages") or {})}
    known = [f"{name} {version}" for name, version in versions.items() if version]
    return ", ".join(known) or NOT_MEASURED


def _text(value: object, length: int | None = None) -> str:
    return NOT_MEASURED if value is None else str(value)[:length]
