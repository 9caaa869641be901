"""One evaluation of a run's networks: what it reads, and the tail that saves what it found."""

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from dino.core.artifacts import sha256_of_file
from dino.core.paths import Project
from dino.core.precision import best_device, resolve_precision
from dino.core.provenance import Stopwatch
from dino.core.score import Score
from dino.data.dataset import PreparedDataset, read_description, read_manifest
from dino.features.feature_set import FeatureSet, load_features
from dino.stages.saving import save_provenance, save_result

if TYPE_CHECKING:
    from dino.core.configuration.parameters import Parameters, Run


class Evaluation:
    """The inputs of one evaluation of one run; it remembers which networks were asked for."""

    def __init__(self, project: Project, parameters: "Parameters", run: "Run", stage: str) -> None:
        self.paths = project.run(run.name)
        self._project = project
        self._parameters = parameters
        self._run = run
        self._stage = stage
        self._folder = project.data(parameters.trained_on)
        self._stopwatch = Stopwatch()
        self._networks: dict[str, str] = {}

    @cached_property
    def dataset(self) -> PreparedDataset:
        """The prepared data set, with its images."""
        return PreparedDataset.open(self._folder)

    @cached_property
    def manifest(self) -> pd.DataFrame:
        """One row for each image of the data set, as `read_manifest` has them."""
        return read_manifest(self._folder)

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the data set's classes."""
        return tuple(self._description["classes"])

    @property
    def _fingerprint(self) -> str:
        return str(self._description["fingerprint"])

    @cached_property
    def _description(self) -> dict[str, Any]:
        return read_description(self._folder)

    def network(self, model: str) -> Path:
        """The folder of an exported backbone (`model` is one of MODELS)."""
        folder = self.paths.model(model)
        self._networks[model] = sha256_of_file(folder / "model.safetensors")
        return folder

    def features(self, model: str) -> FeatureSet:
        """The features that `model` gave the data set's images.

        Raises `DataError` where they are of other images, or by another network than the one that
        was asked for before.
        """
        features = load_features(
            self.paths.features(model), self._fingerprint, self._networks.get(model)
        )
        self._networks[model] = features.model
        return features

    def save(
        self,
        scores: list[Score],
        details: dict[str, Any],
        *,
        uses: tuple[str, ...] = (),
        precision: str = "float32",
    ) -> None:
        """Write results/runs/RUN/STAGE.json and its provenance.

        `details` are what stands beside the scores, such as learning curves; `uses` names the
        sections of params.yaml that count besides the stage's own; `precision` is that of its
        arithmetic as params.yaml has it.
        """
        save_result(self._project, self._stage, self._run, scores, details)
        sections = (*uses, self._stage)
        save_provenance(
            self._project,
            self._stage,
            self._run,
            self._stopwatch,
            {name: getattr(self._parameters, name) for name in sections},
            data=self._fingerprint,
            precision=resolve_precision(precision, best_device()),
            models=self._networks,
        )
