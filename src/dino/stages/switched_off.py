"""What stands in the place of an evaluation that params.yaml switches off."""

from typing import TYPE_CHECKING

from dino.core.artifacts import write_json
from dino.core.paths import Project
from dino.core.provenance import Stopwatch, provenance

if TYPE_CHECKING:
    from dino.core.configuration.parameters import Parameters, Run


def execute(project: Project, parameters: "Parameters", run: "Run", stage: str) -> None:
    """Write results/RUN/STAGE.json with the reason alone, without loading what would compute."""
    stopwatch = Stopwatch()
    paths = project.run(run.name)
    write_json(paths.result(stage), {"reason": f"{stage}.enabled is false in params.yaml"})
    write_json(
        paths.provenance(stage),
        provenance(
            stage,
            {stage: getattr(parameters, stage)},
            project.root,
            stopwatch,
            data=None,
            seed=run.seed,
            precision=None,
        ),
    )
