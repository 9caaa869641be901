"""What stands in the place of an evaluation that has nothing to do."""

from typing import TYPE_CHECKING, Any

from dino.core.artifacts import read_json, write_json
from dino.core.paths import Project
from dino.core.provenance import Stopwatch, provenance

if TYPE_CHECKING:
    from dino.core.configuration.parameters import Parameters, Run

NEED_LABELS = (
    "knn",
    "linear",
    "linear_paper",
    "low_shot",
    "class_map",
    "finetune",
    "robustness",
)


def nothing_to_do(project: Project, parameters: "Parameters", stage: str) -> str | None:
    """Why `stage` has nothing to compute; None where it has.

    Either params.yaml switches it off, or it needs labels and the prepared data set has none.
    """
    if not getattr(getattr(parameters, stage, None), "enabled", True):
        return f"{stage}.enabled is false in params.yaml"
    if stage in NEED_LABELS and _description(project).get("classes") == []:
        return "the data set has no labels"
    return None


def execute(
    project: Project, parameters: "Parameters", run: "Run", stage: str, reason: str
) -> None:
    """Write results/RUN/STAGE.json with the reason alone, without loading what would compute."""
    stopwatch = Stopwatch()
    paths = project.run(run.name)
    write_json(paths.result(stage), {"reason": reason})
    write_json(
        paths.provenance(stage),
        provenance(
            stage,
            {stage: getattr(parameters, stage)},
            project.root,
            stopwatch,
            data=_description(project).get("fingerprint"),
            seed=run.seed,
            precision=None,
        ),
    )


def _description(project: Project) -> dict[str, Any]:
    """What is known of the prepared images; nothing where there are none yet."""
    path = project.data / "dataset.json"
    found: dict[str, Any] = read_json(path) if path.is_file() else {}
    return found
