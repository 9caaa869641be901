"""What a folder of results says about itself: numbers, tables, figures, and who made them."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from dino.core.artifacts import read_json
from dino.core.errors import DinoError
from dino.core.paths import Project
from dino.core.stages import PER_RUN, STAGES, ancestors
from dino.core.yaml_file import read_yaml
from dino.reporting.rows import long_table

Record = dict[str, Any]
"""A stage's provenance."""
SUMMARY = ("runs", "groups", "baselines")
"""What every summary.json has."""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """results/ of a project, or a folder of the same form below records/."""

    project: Project
    folder: Path

    @property
    def of_this_project(self) -> bool:
        """Whether the artifacts that the numbers were made from belong in this very checkout."""
        return self.folder == self.project.results

    @property
    def parameters(self) -> Path:
        """The params.yaml that the numbers are to agree with."""
        return self.project.parameters if self.of_this_project else self.folder / "params.yaml"

    @cached_property
    def summary(self) -> dict[str, Any]:
        path = self.folder / "summary.json"
        summary = read_json(path)
        content: dict[str, Any] = summary if isinstance(summary, dict) else {}
        missing = [key for key in SUMMARY if key not in content]
        if missing:
            expected = "expected what `dino report` writes"
            raise DinoError(f"{path}: {expected}, and found no {missing[0]}; run it")
        return content

    @cached_property
    def dataset(self) -> str | None:
        """The name of the data set trained on; None in a record from before they had names."""
        values = read_yaml(self.parameters) if self.parameters.is_file() else None
        if not isinstance(values, dict) or not values.get("datasets"):
            return None
        named = (values.get("pretrain") or {}).get("dataset")
        return str(named or next(iter(values["datasets"])))

    @cached_property
    def scores(self) -> pd.DataFrame:
        """The long table of all scores, as the report wrote it."""
        path = self.folder / "scores.csv"
        if not path.is_file():
            raise DinoError(f"{path}: not found; run `dino report`")
        with path.open(encoding="utf-8", newline="") as stream:
            return long_table(
                {name: value for name, value in row.items() if value}
                for row in csv.DictReader(stream)
            )

    @cached_property
    def given(self) -> frozenset[str]:
        """The runs whose teacher was trained elsewhere."""
        return frozenset(
            run
            for run in self.runs
            if value_at(self.record("pretrain", run), ("parameters", "architecture", "weights"))
        )

    @cached_property
    def _provenance(self) -> dict[str, Any]:
        """What the report gathered; nothing before the first report."""
        path = self.folder / "provenance.json"
        provenance: dict[str, Any] = read_json(path) if path.is_file() else {}
        return provenance

    @cached_property
    def runs(self) -> tuple[str, ...]:
        """The names of the runs: those that the report covered, before it those with results."""
        covered = tuple(self._provenance.get("runs", ()))
        return covered or tuple(sorted(path.name for path in (self.folder / "runs").glob("*-*-s*")))

    def names(self, kind: str, suffix: str) -> tuple[str, ...]:
        """The files below `kind` (tables, figures) that end with `suffix`, without it."""
        return tuple(sorted(path.stem for path in (self.folder / kind).glob(f"*{suffix}")))

    def result(self, stage: str, run: str | None) -> Path:
        """The file with a stage's numbers."""
        below = self.folder if run is None else self.folder / "runs" / run
        return below / f"{stage}.json"

    def record(self, stage: str, run: str | None) -> Record:
        """The stage's provenance, from beside its result or, where that was not kept, the report.

        Raises `DinoError` where there is none.
        """
        own, gathered = self._beside(stage, run), self._gathered(stage, run)
        record = own or gathered
        if record is None:
            of_run = "" if run is None else f" of {run}"
            raise DinoError(f"{self.folder / 'provenance.json'}: knows no {stage}{of_run}")
        return record

    def ran_again(self, stage: str, run: str | None) -> bool:
        """Whether the stage was executed once more after the report had read its result."""
        own, gathered = self._beside(stage, run), self._gathered(stage, run)
        return own is not None and gathered is not None and own != gathered

    def _gathered(self, stage: str, run: str | None) -> Record | None:
        of_run = self._provenance if run is None else self._provenance.get("runs", {}).get(run, {})
        record: Record | None = of_run.get(stage)
        return record

    def _beside(self, stage: str, run: str | None) -> Record | None:
        below = self.folder if run is None else self.folder / "runs" / run
        # a record from before data sets had names has the second file
        names = [f"{stage}/{self.dataset}.json", f"{stage}.json"]
        paths = [below / "provenance" / name for name in names]
        return next((read_json(path) for path in paths if path.is_file()), None)


def chain(stage: str) -> tuple[str, ...]:
    """`stage` behind all that it was made from, in the order of the workflow."""
    wanted = {stage, *ancestors(stage)} - {"report"}
    return tuple(name for name in STAGES if name in wanted)


def stage_of(name: str) -> str | None:
    """The stage of a run whose name a score's or a file's begins with; None without one."""
    stages = [stage for stage in PER_RUN if f"{name}_".startswith(f"{stage}_")]
    return max(stages, key=len, default=None)


def value_at(content: Any, place: tuple[str | int, ...]) -> Any:
    """What stands at `place` in nested dictionaries and lists; None where nothing does."""
    for key in place:
        if isinstance(content, list) and isinstance(key, int):
            content = content[key] if key < len(content) else None
        else:
            content = content.get(key) if isinstance(content, Mapping) else None
    return content
