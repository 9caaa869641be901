"""The tail of every stage: its result file, and the record of what the result was made from."""

from typing import TYPE_CHECKING, Any

from dino.core.artifacts import write_json
from dino.core.paths import Project
from dino.core.provenance import Stopwatch, plain, provenance

if TYPE_CHECKING:
    from dino.core.configuration.parameters import Run

NO_LABELS = "the data set has no labels"
"""The reason in place of a result that labels are needed for."""


def save_result(project: Project, stage: str, run: "Run | None", result: Any) -> None:
    """Write the result file of `stage`: that of one run, or the one that all runs share."""
    folder = project if run is None else project.run(run.name)
    write_json(folder.result(stage), plain(result))


def save_provenance(
    project: Project,
    stage: str,
    run: "Run | None",
    stopwatch: Stopwatch,
    sections: dict[str, Any],
    *,
    data: str | None,
    precision: str | None,
    **more: Any,
) -> None:
    """Write what an execution of `stage` was made from (see `dino.core.provenance`).

    `sections` are the parts of params.yaml that it used; a run gives its own seed.
    """
    folder = project if run is None else project.run(run.name)
    more = {"seed": None if run is None else run.seed} | more
    record = provenance(
        stage, sections, project.root, stopwatch, data=data, precision=precision, **more
    )
    write_json(folder.provenance(stage), record)
