"""The whole of params.yaml, and the runs that it asks for."""

import dataclasses
import re
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from dino.core.configuration.architecture import ArchitectureConfig
from dino.core.configuration.attention import AttentionConfig
from dino.core.configuration.class_map import ClassMapConfig
from dino.core.configuration.dataset import DatasetConfig
from dino.core.configuration.features import FeaturesConfig
from dino.core.configuration.finetune import FinetuneConfig
from dino.core.configuration.knn import KnnConfig
from dino.core.configuration.linear import LinearConfig
from dino.core.configuration.linear_paper import LinearPaperConfig
from dino.core.configuration.low_shot import LowShotConfig
from dino.core.configuration.number import Seed
from dino.core.configuration.pretrain import PretrainConfig
from dino.core.configuration.robustness import RobustnessConfig
from dino.core.configuration.section import parse, section
from dino.core.configuration.silhouette import SilhouetteConfig
from dino.core.errors import ConfigurationError
from dino.core.stages import PER_DATASET
from dino.core.yaml_file import read_yaml

_NAME = re.compile(r"[A-Za-z0-9_]+")


@section
class RunsConfig:
    """The matrix of runs: every architecture in every variant with every seed."""

    architecture: Annotated[tuple[str, ...], Field(min_length=1)]
    variant: Annotated[tuple[str, ...], Field(min_length=1)]
    """Names in `variants`."""
    seed: Annotated[tuple[Seed, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _runs_are_different(self) -> Self:
        for name in ("architecture", "variant", "seed"):
            values = getattr(self, name)
            if len(set(values)) < len(values):
                raise ValueError(f"expected {name} without duplicates, got {list(values)}")
        return self


@section
class Run:
    """One pretraining and everything measured on its teacher."""

    architecture: str
    variant: str
    seed: Seed

    @property
    def name(self) -> str:
        """The name that folders and tables carry, such as vit_small_16-dino-s0."""
        return f"{self.architecture}-{self.variant}-s{self.seed}"


@section
class Parameters:
    """All of params.yaml."""

    runs: RunsConfig
    architectures: dict[str, ArchitectureConfig]
    variants: dict[str, dict[str, Any]] = Field(
        default_factory=lambda: dict[str, dict[str, Any]](dino={})
    )
    """The values by which each variant differs from the section `pretrain`, in the same nesting."""
    datasets: Annotated[dict[str, DatasetConfig], Field(min_length=1)] = Field(
        default_factory=lambda: {"fashion_mnist": DatasetConfig()}
    )
    """Name: where the images come from. The name is that of a folder below data/."""
    pretrain: PretrainConfig = Field(default_factory=PretrainConfig)
    features: FeaturesConfig = Field(default_factory=FeaturesConfig)
    knn: KnnConfig = Field(default_factory=KnnConfig)
    linear: LinearConfig = Field(default_factory=LinearConfig)
    linear_paper: LinearPaperConfig = Field(default_factory=LinearPaperConfig)
    low_shot: LowShotConfig = Field(default_factory=LowShotConfig)
    attention: AttentionConfig = Field(default_factory=AttentionConfig)
    class_map: ClassMapConfig = Field(default_factory=ClassMapConfig)
    finetune: FinetuneConfig = Field(default_factory=FinetuneConfig)
    robustness: RobustnessConfig = Field(default_factory=RobustnessConfig)
    silhouette: SilhouetteConfig = Field(default_factory=SilhouetteConfig)

    # ConfigurationError, since of a ValueError pydantic would show the input: all of params.yaml
    @model_validator(mode="after")
    def _runs_are_known(self) -> Self:
        if self.variants.get("dino"):
            raise ConfigurationError(
                "variants.dino: expected nothing, since it is the section pretrain itself; give "
                "what differs another name"
            )
        for variant in self.variants:
            self._pretrain_as(variant)
        for kind, names, known in (
            ("architecture", self.runs.architecture, self.architectures),
            ("variant", self.runs.variant, self.variants),
        ):
            for name in names:
                if name not in known:
                    among = ", ".join(known) or "none"
                    raise ConfigurationError(f"runs.{kind}: expected one of {among}, got {name}")
                if not _NAME.fullmatch(name):
                    raise ConfigurationError(
                        f"runs.{kind}: expected letters, digits and _, got {name}"
                    )
        return self

    @model_validator(mode="after")
    def _datasets_are_known(self) -> Self:
        for name in self.datasets:
            if not _NAME.fullmatch(name):
                raise ConfigurationError(f"datasets: expected letters, digits and _, got {name}")
        asked = self.pretrain.dataset
        if asked not in self.datasets and not (asked is None and len(self.datasets) == 1):
            known, got = ", ".join(self.datasets), "null" if asked is None else asked
            raise ConfigurationError(f"pretrain.dataset: expected one of {known}, got {got}")
        for variant, values in self.variants.items():
            if "dataset" in values:
                raise ConfigurationError(
                    f"variants.{variant}.dataset: expected nothing, since all runs of a project "
                    "are trained on one data set; remove it"
                )
        return self

    @model_validator(mode="after")
    def _sizes_fit_architectures(self) -> Self:
        sizes_px = {
            "features.crop_px": self.features.crop_px,
            "attention.image_size_px": self.attention.image_size_px,
            "finetune.crop_px": self.finetune.crop_px,
        }
        trained_px = {}
        for variant in self.runs.variant:
            crops = self._pretrain_as(variant).crops
            of_variant = "" if variant == "dino" else f" (variants.{variant})"
            trained_px[f"pretrain.crops.global_size_px{of_variant}"] = crops.global_size_px
            trained_px[f"pretrain.crops.local_size_px{of_variant}"] = crops.local_size_px
        for name in self.runs.architecture:
            architecture = self.architectures[name]
            patch = architecture.patch_px
            trained = architecture.weights is None
            for key, size_px in {**(trained_px if trained else {}), **sizes_px}.items():
                if patch and size_px % patch:
                    raise ConfigurationError(
                        f"{key}: expected a multiple of {name}'s patch_size_px {patch}, "
                        f"got {size_px}"
                    )
            blocks = architecture.blocks
            if blocks and self.features.last_blocks > blocks:
                raise ConfigurationError(
                    f"features.last_blocks: expected at most the {blocks} of {name} "
                    f"({architecture.timm_name}), got {self.features.last_blocks}"
                )
        return self

    @model_validator(mode="after")
    def _features_fit_classifiers(self) -> Self:
        for name in ("linear", "linear_paper"):
            if getattr(self, name).average_pool and self.features.last_blocks != 1:
                raise ConfigurationError(
                    f"features.last_blocks: expected 1 with {name}.average_pool, "
                    f"got {self.features.last_blocks}"
                )
        return self

    def enabled(self, stage: str) -> bool:
        """Whether `stage` has something to compute: false where its section switches it off."""
        return bool(getattr(getattr(self, stage, None), "enabled", True))

    @property
    def trained_on(self) -> str:
        """The name of the data set that every run is trained on."""
        return self.pretrain.dataset or next(iter(self.datasets))

    def dataset_of(self, stage: str) -> str | None:
        """The data set that `stage` was executed for; None for a stage that is executed once."""
        return self.trained_on if stage in PER_DATASET else None

    def dataset_named(self, name: str) -> DatasetConfig:
        """The section of the data set that is called `name`."""
        if name not in self.datasets:
            known = ", ".join(self.datasets)
            raise ConfigurationError(
                f"--dataset: expected one of the data sets in params.yaml ({known}), got {name}"
            )
        return self.datasets[name]

    def all_runs(self) -> tuple[Run, ...]:
        """Every run of the matrix, in the order of params.yaml."""
        return tuple(
            Run(architecture=architecture, variant=variant, seed=seed)
            for architecture, variant, seed in product(
                self.runs.architecture, self.runs.variant, self.runs.seed
            )
        )

    def pretrain_of(self, run: Run) -> PretrainConfig:
        """The section `pretrain` with what the run's variant changes."""
        return self._pretrain_as(run.variant)

    def _pretrain_as(self, variant: str) -> PretrainConfig:
        values = _overridden(dataclasses.asdict(self.pretrain), self.variants[variant])
        return parse(PretrainConfig, values, where=f"variants.{variant}")

    def run_named(self, name: str) -> Run:
        """The run of the matrix that is called `name`."""
        runs = {run.name: run for run in self.all_runs()}
        if name not in runs:
            raise ConfigurationError(
                f"--run: expected one of the runs in params.yaml ({', '.join(runs)}), got {name}"
            )
        return runs[name]


NEED_LABELS = tuple(
    field.name
    for field in dataclasses.fields(Parameters)
    if getattr(field.type, "needs_labels", False)
)
"""The evaluations that a data set without labels gives nothing to."""


def _overridden(values: dict[str, Any], overrides: dict[str, Any]) -> dict[str, Any]:
    """`values` with those of `overrides` in their place, section by section."""
    merged = dict(values)
    for key, value in overrides.items():
        below = merged.get(key)
        if isinstance(value, dict) and isinstance(below, dict):
            value = _overridden(below, value)
        merged[key] = value
    return merged


def read_parameters(path: Path) -> Parameters:
    """`path` (params.yaml) as validated parameters."""
    values = read_yaml(path, hint="run the command from the project's root")
    if not isinstance(values, dict):
        raise ConfigurationError(f"{path}: expected sections such as 'pretrain:', found none")
    if "prepare" in values:
        raise ConfigurationError(
            f"{path.name}.prepare: a data set has a name now; write its lines below "
            "`datasets: {NAME: ...}`, with a name of yours, and `dataset: NAME` in pretrain"
        )
    try:
        return parse(Parameters, values, where="")
    except ConfigurationError as error:
        raise ConfigurationError(f"{path.name}.{error}") from None
