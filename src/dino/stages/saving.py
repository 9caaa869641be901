"""The tail of every stage: its result file, and the record of what the result was made from."""

from typing import TYPE_CHECKING, Any

from dino.core.artifacts import write_json
from dino.core.paths import Project
from dino.core.provenance import Stopwatch, plain, provenance

if TYPE_CHECKING:
    from dino.core.configuration.parameters import Run

NO_LABELS = "the data set has no labels"
"""The reason in place of a result that labels are needed for."""


def save_result(
    project: Project,
    stage: str,
    run: "Run | None",
    scores: list[Any],
    details: dict[str, Any],
    reason: str | None = None,
) -> None:
    """Write the result file of `stage`: that of one run, or the one that all runs share.

    It holds the rows of `scores`, and `details` beside them; `reason` says why there are none.
    """
    folder = project if run is None else project.run(run.name)
    write_json(folder.result(stage), plain({"reason": reason, "scores": scores, **details}))


def save_provenance(
    project: Project,
    stage: str,
    of: "Run | str | None",
    stopwatch: Stopwatch,
    sections: dict[str, Any],
    *,
    data: str | None,
    precision: str | None,
    **more: Any,
) -> None:
    """Write what an execution of `stage` was made from (see `dino.core.provenance`).

    `of` is the run or the data set that it was for. `sections` are the parts of params.yaml that
    it used; a run gives its own seed.
    """
    if of is None or isinstance(of, str):
        path, seed = project.provenance(stage, of), None
    else:
        path, seed = project.run(of.name).provenance(stage), of.seed
    record = provenance(
        stage,
        sections,
        project.root,
        stopwatch,
        data=data,
        precision=precision,
        **{"seed": seed, **more},
    )
    write_json(path, record)
