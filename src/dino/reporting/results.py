"""Everything that the evaluations measured, as read from the result files."""

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dino.core.artifacts import read_json
from dino.core.errors import DinoError
from dino.core.paths import Project
from dino.reporting.graph import PER_RUN, PROJECT_STAGES

if TYPE_CHECKING:
    from dino.core.configuration.parameters import Run


@dataclass(frozen=True, kw_only=True)
class RunResults:
    """One pretraining and what was measured on its teacher and on that teacher before step 0."""

    name: str
    architecture: str
    variant: str
    seed: int
    log: pd.DataFrame
    """pretrain.csv; without a row where the teacher was not trained here."""
    knn: dict[str, Any]
    linear: dict[str, Any]
    linear_paper: dict[str, Any]
    low_shot: dict[str, Any]
    attention: dict[str, Any]
    class_map: dict[str, Any]
    finetune: dict[str, Any]
    robustness: dict[str, Any]
    maps: dict[str, NDArray[Any]]
    """attention_maps.npz."""

    @property
    def variant_name(self) -> str:
        """Its architecture and variant, whatever the seed: the key of summary.json's groups."""
        return f"{self.architecture}-{self.variant}"

    @property
    def trained(self) -> bool:
        """False where the architecture has weights of its own, which were only evaluated."""
        return len(self.log) > 0

    @property
    def kind(self) -> str:
        """What made the teacher, as tables name it."""
        return "DINO" if self.trained else "given weights"


@dataclass(frozen=True, kw_only=True)
class Group:
    """The runs of one architecture and variant, which differ in their seed alone."""

    architecture: str
    variant: str
    runs: tuple[RunResults, ...]

    @property
    def name(self) -> str:
        """Its key in summary.json, such as vit_small_16-dino."""
        return self.runs[0].variant_name

    @property
    def label(self) -> str:
        """As tables and figures call it: a single run by its own name."""
        if len(self.runs) == 1:
            return self.runs[0].name
        return f"{self.name}, {len(self.runs)} seeds"

    @property
    def kind(self) -> str:
        """What made the teachers, as tables name it."""
        return self.runs[0].kind


@dataclass(frozen=True, kw_only=True)
class Results:
    """All runs of the matrix, in the order of params.yaml, and what they are compared with."""

    dataset: dict[str, Any]
    baselines: dict[str, Any]
    runs: tuple[RunResults, ...]

    @property
    def architectures(self) -> tuple[str, ...]:
        """Every architecture once, in the order of the runs."""
        return tuple(dict.fromkeys(run.architecture for run in self.runs))

    @property
    def groups(self) -> tuple[Group, ...]:
        """Every pair of architecture and variant once, in the order of the runs."""
        pairs = dict.fromkeys((run.architecture, run.variant) for run in self.runs)
        return tuple(
            Group(
                architecture=architecture,
                variant=variant,
                runs=tuple(
                    run
                    for run in self.runs
                    if (run.architecture, run.variant) == (architecture, variant)
                ),
            )
            for architecture, variant in pairs
        )

    @property
    def has_seeds(self) -> bool:
        """Whether some architecture and variant was trained with several seeds."""
        return len(self.groups) < len(self.runs)

    @property
    def over_seeds(self) -> str:
        """What the tables' captions say about several seeds; empty where each run is alone."""
        if not self.has_seeds:
            return ""
        return (
            " Of several seeds, the mean ± the sample standard deviation over them stands in "
            "place of the interval."
        )

    @property
    def leading(self) -> tuple[Group, ...]:
        """Each architecture's first variant, which stands for it."""
        first = {group.architecture: group for group in reversed(self.groups)}
        return tuple(first[architecture] for architecture in self.architectures)

    @property
    def not_trained(self) -> str:
        """A sentence that names the runs which were evaluated alone; empty without any."""
        names = [run.name for run in self.runs if not run.trained]
        return f" Not trained here: {', '.join(names)}." if names else ""

    @property
    def headline(self) -> str:
        """The number of neighbours whose accuracy is shown, as the result files' key.

        A dash where none was measured.
        """
        return str(self.runs[0].knn.get("headline", "\N{EN DASH}"))

    @property
    def no_accuracies(self) -> str | None:
        """Why no accuracy was measured; None where accuracies were."""
        reason = self.runs[0].knn.get("reason")
        return None if reason is None else str(reason)


def read_results(project: Project, runs: Iterable["Run"]) -> Results:
    """The results of `runs` and of the baselines; raises `DinoError` when one is missing."""
    return Results(
        dataset=read_json(project.data / "dataset.json"),
        baselines=read_json(project.results / "baselines.json"),
        runs=tuple(_read_run(project, run) for run in runs),
    )


def _read_run(project: Project, run: "Run") -> RunResults:
    paths = project.run(run.name)
    return RunResults(
        name=run.name,
        architecture=run.architecture,
        variant=run.variant,
        seed=run.seed,
        log=_read_log(paths.training_log),
        knn=read_json(paths.result("knn")),
        linear=read_json(paths.result("linear")),
        linear_paper=read_json(paths.result("linear_paper")),
        low_shot=read_json(paths.result("low_shot")),
        attention=read_json(paths.result("attention")),
        class_map=read_json(paths.result("class_map")),
        finetune=read_json(paths.result("finetune")),
        robustness=read_json(paths.result("robustness")),
        maps=_read_maps(paths.attention_maps),
    )


def read_provenance(project: Project, runs: Iterable["Run"]) -> dict[str, Any]:
    """The provenance of every stage: prepare, baselines, and each run's own stages by name."""
    merged: dict[str, Any] = {
        stage: read_json(project.provenance(stage)) for stage in PROJECT_STAGES
    }
    merged["runs"] = {
        run.name: {stage: read_json(project.run(run.name).provenance(stage)) for stage in PER_RUN}
        for run in runs
    }
    return merged


def _read_log(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path)
    except FileNotFoundError:
        raise DinoError(f"{path}: not found; run the stage that makes it") from None
    except ValueError:
        raise DinoError(f"{path}: not a table; delete it and run pretrain again") from None


def _read_maps(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return dict(archive)
    except FileNotFoundError:
        raise DinoError(f"{path}: not found; run the stage that makes it") from None
    except (ValueError, OSError, EOFError, BadZipFile, zlib.error):
        raise DinoError(f"{path}: damaged; delete it and run attention again") from None
