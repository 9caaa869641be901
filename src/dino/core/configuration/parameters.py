"""The whole of params.yaml, and the runs that it asks for."""

import re
from itertools import product
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, NonNegativeInt, model_validator

from dino.core.configuration.architecture import ArchitectureConfig
from dino.core.configuration.attention import AttentionConfig
from dino.core.configuration.class_map import ClassMapConfig
from dino.core.configuration.features import FeaturesConfig
from dino.core.configuration.finetune import FinetuneConfig
from dino.core.configuration.knn import KnnConfig
from dino.core.configuration.linear import LinearConfig
from dino.core.configuration.linear_paper import LinearPaperConfig
from dino.core.configuration.low_shot import LowShotConfig
from dino.core.configuration.prepare import PrepareConfig
from dino.core.configuration.pretrain import PretrainConfig
from dino.core.configuration.robustness import RobustnessConfig
from dino.core.configuration.section import parse, section
from dino.core.errors import ConfigurationError
from dino.core.yaml_file import read_yaml

VARIANT = "dino"
_NAME = re.compile(r"[A-Za-z0-9_]+")


@section
class RunsConfig:
    """The matrix of runs: every architecture with every seed."""

    architecture: Annotated[tuple[str, ...], Field(min_length=1)]
    seed: Annotated[tuple[NonNegativeInt, ...], Field(min_length=1)] = (0,)

    @model_validator(mode="after")
    def _runs_are_different(self) -> Self:
        for name in ("architecture", "seed"):
            values = getattr(self, name)
            if len(set(values)) < len(values):
                raise ValueError(f"expected {name} without duplicates, got {list(values)}")
        return self


@section
class Run:
    """One pretraining and everything measured on its teacher."""

    architecture: str
    variant: str
    seed: NonNegativeInt

    @property
    def name(self) -> str:
        """The name that folders and tables carry, such as vit_small_16-dino-s0."""
        return f"{self.architecture}-{self.variant}-s{self.seed}"


@section
class Parameters:
    """All of params.yaml."""

    runs: RunsConfig
    architectures: dict[str, ArchitectureConfig]
    prepare: PrepareConfig = Field(default_factory=PrepareConfig)
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

    @model_validator(mode="after")
    def _runs_can_be_built(self) -> Self:
        crops = self.pretrain.crops
        for name in self.runs.architecture:
            if name not in self.architectures:
                known = ", ".join(self.architectures) or "none"
                raise ValueError(f"expected runs.architecture among {known}, got {name}")
            if not _NAME.fullmatch(name):
                raise ValueError(f"expected letters, digits and _ in an architecture, got {name}")
            architecture = self.architectures[name]
            patch = architecture.patch_px
            for key, size_px in (
                ("pretrain.crops.global_size_px", crops.global_size_px),
                ("pretrain.crops.local_size_px", crops.local_size_px),
                ("features.crop_px", self.features.crop_px),
                ("attention.image_size_px", self.attention.image_size_px),
                ("finetune.crop_px", self.finetune.crop_px),
            ):
                if key.startswith("pretrain.") and architecture.weights is not None:
                    continue  # it is not trained
                if patch and size_px % patch:
                    raise ValueError(
                        f"expected {key} to be a multiple of {name}'s patch_size_px {patch}, "
                        f"got {size_px}"
                    )
            if architecture.depth and self.features.last_blocks > architecture.depth:
                raise ValueError(
                    f"expected features.last_blocks of at most {name}'s depth "
                    f"{architecture.depth}, got {self.features.last_blocks}"
                )
        for name in ("linear", "linear_paper"):
            if getattr(self, name).average_pool and self.features.last_blocks != 1:
                raise ValueError(
                    f"expected features.last_blocks of 1 with {name}.average_pool, "
                    f"got {self.features.last_blocks}"
                )
        return self

    def all_runs(self) -> tuple[Run, ...]:
        """Every run of the matrix, in the order of params.yaml."""
        return tuple(
            Run(architecture=architecture, variant=VARIANT, seed=seed)
            for architecture, seed in product(self.runs.architecture, self.runs.seed)
        )

    def run_named(self, name: str) -> Run:
        """The run of the matrix that is called `name`."""
        runs = {run.name: run for run in self.all_runs()}
        if name not in runs:
            raise ConfigurationError(
                f"--run: expected one of the runs in params.yaml ({', '.join(runs)}), got {name}"
            )
        return runs[name]


def read_parameters(path: Path) -> Parameters:
    """`path` (params.yaml) as validated parameters."""
    values = read_yaml(path, hint="run the command from the project's root")
    if not isinstance(values, dict):
        raise ConfigurationError(f"{path}: expected sections such as 'pretrain:', found none")
    return parse(Parameters, values, where=path.name)
