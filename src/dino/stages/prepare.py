"""prepare: make a data set."""

from typing import TYPE_CHECKING, Any

from dino.core.errors import naming
from dino.core.paths import Project
from dino.core.provenance import Stopwatch
from dino.data.preparation import prepare
from dino.data.sources.catalogue import open_source
from dino.data.sources.files import photographs_passed_over
from dino.stages.saving import save_provenance

if TYPE_CHECKING:
    from dino.core.configuration.dataset import DatasetConfig
    from dino.core.configuration.parameters import Parameters


def execute(project: Project, parameters: "Parameters", dataset: str) -> None:
    """Write data/DATASET/."""
    stopwatch = Stopwatch()
    config = parameters.datasets[dataset]
    with naming(f"datasets.{dataset}"):
        description = _prepare(project, config, dataset)
    save_provenance(
        project,
        "prepare",
        dataset,
        stopwatch,
        {"datasets": {dataset: config}},
        data=description["fingerprint"],
        seed=config.seed,
        precision=None,
    )


def _prepare(project: Project, config: "DatasetConfig", dataset: str) -> dict[str, Any]:
    source = open_source(config, project.downloads)
    if config.source in ("folder", "class_folders") and source.root is not None:
        line = photographs_passed_over(source.root)
        if line is not None:
            print(f"prepare: {line}", flush=True)
    return prepare(source, config, project.data(dataset), project.preparation(dataset))
