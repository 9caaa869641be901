"""Whether results belong together: one data set, the present parameters, the same weights."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dino.core.errors import DinoError
from dino.core.paths import MODELS, Project
from dino.core.stages import PER_RUN, SHARED
from dino.reporting.forms import read_record, read_result
from dino.reporting.recorded_parameters import differences, parameters_of

if TYPE_CHECKING:
    from dino.core.configuration.parameters import Parameters, Run


def ensure_agreement(
    project: Project,
    parameters: "Parameters",
    runs: Iterable["Run"],
    stages: Iterable[str] = (*SHARED, *PER_RUN),
) -> None:
    """Raise `DinoError` unless the results of `stages` were made from what is there now.

    That is the prepared data, params.yaml and, of one run, the same checkpoint and models.
    """
    stages = tuple(stages)
    folder = project.data(parameters.trained_on)
    data = read_result(folder / "dataset.json")["fingerprint"]
    for stage in (stage for stage in stages if stage in SHARED):
        path = project.provenance(stage, parameters.dataset_of(stage))
        _check(path, stage, None, data, parameters)
    for run in runs:
        paths = project.run(run.name)
        records = {
            stage: _check(paths.provenance(stage), stage, run.name, data, parameters)
            for stage in stages
            if stage in PER_RUN
        }
        checkpoints = {stage: record.get("checkpoint") for stage, record in records.items()}
        _ensure_one(paths.results, "checkpoint", checkpoints)
        for model in MODELS:
            of_stages = {s: (r.get("models") or {}).get(model) for s, r in records.items()}
            _ensure_one(paths.results, model, of_stages)


def _check(
    path: Path, stage: str, run: str | None, data: str, parameters: "Parameters"
) -> dict[str, Any]:
    record = read_record(path)
    again = f"run `snakemake`, or `dino {stage}{f' --run {run}' if run else ''}`"
    if record.get("data") not in (None, data):
        raise DinoError(
            f"{path}: {stage} was made from other images than those in data/ (fingerprint "
            f"{str(record['data'])[:12]}, expected {data[:12]}); {again}"
        )
    changed = differences(parameters, run, parameters_of(run, {stage: record}))
    for name, (then, now) in changed.items():
        raise DinoError(
            f"{path}: {stage} was made with {name} = {then}, and params.yaml has {now}; {again}"
        )
    return record


def _ensure_one(folder: Path, name: str, of_stages: dict[str, str | None]) -> None:
    known = {stage: checksum for stage, checksum in of_stages.items() if checksum is not None}
    if len(set(known.values())) > 1:
        text = ", ".join(f"{stage} {checksum[:12]}" for stage, checksum in known.items())
        raise DinoError(f"{folder}: {name} DIFFERS between the stages ({text}); run `snakemake`")
