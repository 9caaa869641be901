"""Whether the cluster that jobs are meant for is there."""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from dino.core.errors import DinoError
from dino.core.paths import Project
from dino.orchestration.checks import Steps, enabled

if TYPE_CHECKING:
    from dino.core.configuration.parameters import Parameters


def cluster_problems(
    project: Project, parameters: "Parameters", steps: Steps
) -> Iterator[DinoError]:
    """The problems for which none of `steps` could become a SLURM job, if one is to become one."""
    if os.environ.get("DINO_LAUNCHER") != "slurm":
        return
    from dino.launch.cluster import ensure_reachable
    from dino.launch.settings import read_settings

    try:
        submitted = read_settings(project.root).submit
        if any(step.stage in submitted for step in enabled(parameters, steps)):
            ensure_reachable()
    except DinoError as error:
        yield error
