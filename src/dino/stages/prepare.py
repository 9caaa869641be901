"""prepare: make the data set."""

from typing import TYPE_CHECKING

from dino.core.paths import Project
from dino.core.provenance import Stopwatch
from dino.data.preparation import prepare
from dino.data.sources.catalogue import open_source
from dino.data.sources.files import photographs_passed_over
from dino.stages.saving import save_provenance

if TYPE_CHECKING:
    from dino.core.configuration.parameters import Parameters


def execute(project: Project, parameters: "Parameters") -> None:
    """Write data/prepared/."""
    stopwatch = Stopwatch()
    config = parameters.prepare
    source = open_source(config, project.downloads)
    if config.source in ("folder", "class_folders") and source.root is not None:
        line = photographs_passed_over(source.root)
        if line is not None:
            print(f"prepare: {line}", flush=True)
    description = prepare(source, config, project.data, project.preparation)
    save_provenance(
        project,
        "prepare",
        None,
        stopwatch,
        {"prepare": config},
        data=description["fingerprint"],
        seed=config.seed,
        precision=None,
    )
