"""Reading of everything that the evaluations wrote."""

import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dino.core.errors import DinoError
from dino.core.paths import RANDOM_INIT, RAW_PIXELS, Project
from dino.core.stages import EVALUATIONS, PER_RUN, SHARED
from dino.reporting.forms import read_record, read_result
from dino.reporting.results import Results, RunResults

if TYPE_CHECKING:
    from dino.core.configuration.parameters import Parameters, Run


_OF_RAW_PIXELS = ("knn", "linear", "low_shot", "class_map", "robustness")
LOGGED = (
    "epoch",
    "loss",
    "teacher_entropy",
    "kl",
    "prototype_share",
    "feature_std",
    "center_norm",
    "online_knn_top1",
    "learning_rate",
    "gradient_norm",
)
"""The columns of pretrain.csv that figures show."""
ARRAYS = (
    "class_name",
    "image",
    "mask",
    "teacher_maps",
    "random_init_maps",
    "teacher_masks",
    "teacher_jaccard",
    "ranked_rank",
    "ranked_class_name",
    "ranked_image",
    "ranked_truth",
    "ranked_mask",
    "ranked_jaccard",
    "explorer_reason",
    "explorer_image",
)
"""The arrays of attention_maps.npz that every run has."""


def read_results(project: Project, parameters: "Parameters") -> Results:
    """The results of all runs and of the baselines; raises `DinoError` when one is missing."""
    baselines = read_result(project.results / "baselines.json")
    return Results(
        dataset_name=parameters.trained_on,
        dataset=read_result(project.data(parameters.trained_on) / "dataset.json"),
        baselines=baselines,
        runs=tuple(_read_run(project, run, baselines) for run in parameters.all_runs()),
    )


def _read_run(project: Project, run: "Run", baselines: dict[str, Any]) -> RunResults:
    paths = project.run(run.name)
    files = {stage: read_result(paths.result(stage)) for stage in EVALUATIONS}
    rows = tuple(
        {"evaluation": stage, **row} for stage in EVALUATIONS for row in files[stage].pop("scores")
    )
    for file in files.values():
        if file["reason"] is None:
            del file["reason"]
    _ensure_comparable(project, run.name, rows, baselines)
    return RunResults(
        name=run.name,
        architecture=run.architecture,
        variant=run.variant,
        seed=run.seed,
        log=_read_log(paths.training_log),
        details=files,
        maps=_read_maps(paths.attention_maps),
        rows=rows,
        weights=_weights(read_record(paths.provenance("pretrain"))),
    )


def _ensure_comparable(
    project: Project, run: str, rows: Iterable[dict[str, Any]], baselines: dict[str, Any]
) -> None:
    """Raise `DinoError` unless raw pixels were scored in the ways that the run was."""
    scored = {_asked(row) for row in baselines["scores"] if row["model"] == RAW_PIXELS}
    for row in rows:
        beside = row["key"] and row["model"] == RANDOM_INIT and row["evaluation"] in _OF_RAW_PIXELS
        if beside and _asked(row) not in scored:
            raise DinoError(
                f"{project.results / 'baselines.json'}: raw pixels have no {row['key']} by "
                f"{row['setting']}, which {run} has; run `dino baselines`"
            )


def _asked(row: dict[str, Any]) -> tuple[str, ...]:
    return (row["evaluation"], row["setting"], row["key"])


def _weights(pretrain: dict[str, Any]) -> dict[str, Any] | None:
    """What the provenance of a run says of a teacher that was not trained here; None otherwise."""
    found = pretrain.get("parameters", {}).get("architecture", {}).get("weights")
    return found if isinstance(found, dict) else None


def read_provenance(project: Project, parameters: "Parameters") -> dict[str, Any]:
    """The provenance of every stage: prepare, baselines, and each run's own stages by name."""
    merged: dict[str, Any] = {
        stage: read_record(project.provenance(stage, parameters.dataset_of(stage)))
        for stage in SHARED
    }
    merged["runs"] = {
        run.name: {stage: read_record(project.run(run.name).provenance(stage)) for stage in PER_RUN}
        for run in parameters.all_runs()
    }
    return merged


def _read_log(path: Path) -> pd.DataFrame:
    try:
        log = pd.read_csv(path)
    except FileNotFoundError:
        raise DinoError(f"{path}: not found; run the stage that makes it") from None
    except (ValueError, OSError):
        raise DinoError(f"{path}: not a table; delete it and run pretrain again") from None
    for name in LOGGED:
        if name not in log:
            raise DinoError(f"{path}: no column {name}; delete it and run pretrain again")
        if len(log) and not pd.api.types.is_numeric_dtype(log[name]):
            raise DinoError(f"{path}: {name}: not numbers; delete it and run pretrain again")
    return log


def _read_maps(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            maps = dict(archive)
    except FileNotFoundError:
        raise DinoError(f"{path}: not found; run the stage that makes it") from None
    except (ValueError, OSError, EOFError, BadZipFile, zlib.error):
        raise DinoError(f"{path}: damaged; delete it and run attention again") from None
    for name in ARRAYS:
        if name not in maps:
            raise DinoError(f"{path}: no array {name}; delete it and run attention again")
    return maps
