"""The stages that are to run, and what is known before they do."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from dino.core.artifacts import sha256_of_file
from dino.core.paths import Project
from dino.orchestration.images import Images

if TYPE_CHECKING:
    from dino.core.configuration.parameters import Parameters, Run


@dataclass(frozen=True)
class Planned:
    """One execution of a stage."""

    stage: str
    run: "Run | None"
    """The run; None for a stage that all runs share."""
    dataset: str
    """The data set that it reads: the one trained on, unless its command names another."""


@dataclass(frozen=True, kw_only=True)
class Situation:
    """The facts that the rules of `dino.orchestration.rules` look at."""

    project: Project
    parameters: "Parameters"
    planned: tuple[Planned, ...]
    """The executions, without the stages that params.yaml switches off."""
    images: Mapping[str, Images | None]
    """What is known of each data set's images; None before they are fetched, or prepared by an
    earlier stage.
    """
    processes: int
    """The number of processes that train together."""
    checksums: dict[Path, str] = field(default_factory=dict)

    def makes(self, stage: str, run: "Run | None") -> bool:
        """Whether `stage` is to run, so that its present outputs do not matter."""
        return any((step.stage, step.run) == (stage, run) for step in self.planned)

    def checksum(self, path: Path) -> str:
        """The SHA-256 of a file, which is read once."""
        if path not in self.checksums:
            self.checksums[path] = sha256_of_file(path)
        return self.checksums[path]
