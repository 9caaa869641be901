"""The result of an evaluation that has nothing to do: the reason."""

from typing import TYPE_CHECKING, Any

from dino.core.artifacts import read_json
from dino.core.configuration.parameters import NEED_LABELS
from dino.core.paths import Project
from dino.core.provenance import Stopwatch
from dino.stages.saving import NO_LABELS, save_provenance, save_result

if TYPE_CHECKING:
    from dino.core.configuration.parameters import Parameters, Run


def nothing_to_do(project: Project, parameters: "Parameters", stage: str) -> str | None:
    """Why `stage` has nothing to compute; None where it has.

    Either params.yaml switches it off, or it needs labels and the prepared data set has none.
    """
    if not parameters.enabled(stage):
        return f"{stage}.enabled is false in params.yaml"
    if stage in NEED_LABELS and _description(project, parameters).get("classes") == []:
        return NO_LABELS
    return None


def execute(
    project: Project, parameters: "Parameters", run: "Run", stage: str, reason: str
) -> None:
    """Write results/runs/RUN/STAGE.json with the reason and no scores, without loading torch."""
    stopwatch = Stopwatch()
    save_result(project, stage, run, [], {}, reason)
    save_provenance(
        project,
        stage,
        run,
        stopwatch,
        {stage: getattr(parameters, stage)},
        data=_description(project, parameters).get("fingerprint"),
        precision=None,
    )


def _description(project: Project, parameters: "Parameters") -> dict[str, Any]:
    """The description of the prepared images; empty before they are prepared."""
    path = project.data(parameters.trained_on) / "dataset.json"
    found: dict[str, Any] = read_json(path) if path.is_file() else {}
    return found
