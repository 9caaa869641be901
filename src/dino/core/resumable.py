"""What identifies a training besides its code: only the same training can use its state."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from dino.core.artifacts import read_json, write_json
from dino.core.paths import Project
from dino.core.provenance import plain

if TYPE_CHECKING:
    # a stage depends on the code that it imports, and all sections are in there
    from dino.core.configuration.parameters import Parameters, Run
    from dino.core.configuration.pretrain import PretrainConfig

_FILE = "training.json"


def note_training(folder: Path, identity: dict[str, Any]) -> None:
    """Write into a folder of checkpoints which training they belong to."""
    write_json(folder / _FILE, identity)


def noted_training(folder: Path) -> dict[str, Any] | None:
    """The training whose checkpoints lie in `folder`; None where nothing was noted."""
    path = folder / _FILE
    identity: dict[str, Any] | None = read_json(path) if path.is_file() else None
    return identity


def decisive_parameters(config: "PretrainConfig") -> dict[str, Any]:
    """The parameters of a training that change what it computes, as JSON-like values."""
    parameters: dict[str, Any] = plain(config)
    # how often a state is saved, what is said about it and what the data are called changes nothing
    del parameters["checkpoints"], parameters["monitor"], parameters["dataset"]
    return parameters


def training_identity(project: Project, parameters: "Parameters", run: "Run") -> dict[str, Any]:
    """The parameters, seed and data of the training of `run`, once the data are prepared."""
    return {
        "architecture": plain(parameters.architectures[run.architecture]),
        "pretrain": decisive_parameters(parameters.pretrain_of(run)),
        "seed": run.seed,
        "data": read_json(project.data(parameters.trained_on) / "dataset.json")["fingerprint"],
    }
