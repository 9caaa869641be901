"""Linear classification of frozen features by the paper's own protocol."""

from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from dino.core.configuration.number import (
    LearningRate,
    PositiveInt,
    PositiveShare,
    Probability,
    Seed,
)
from dino.core.configuration.section import section


@section
class LinearPaperConfig:
    """The training of `linear`, with a new random crop of each training image in each epoch.

    Features and the evaluation's crop are those of the section `features`.
    """

    needs_labels: ClassVar[bool] = True
    enabled: bool = True
    """False: not computed, which the result then says."""
    epochs: PositiveInt = 100
    batch_size: PositiveInt = 1024
    """Images in one step over all devices (paper: 1024)."""
    learning_rates: Annotated[tuple[LearningRate, ...], Field(min_length=1)] = (0.001,)
    """The rates for a batch of 256 images, scaled with the batch; the best on val is reported."""
    average_pool: bool = False
    """Add the mean patch token; needs features.last_blocks 1 (paper: for ViT-B)."""
    scale: tuple[PositiveShare, PositiveShare] = (0.08, 1.0)
    """Range of a crop's share of the image's area."""
    flip_probability: Probability = 0.5
    seed: Seed = 0
    """Seed of the initial weights, of the order of the images and of their crops."""

    @model_validator(mode="after")
    def _scale_ascends(self) -> Self:
        if self.scale[0] > self.scale[1]:
            raise ValueError(f"expected scale in ascending order, got {list(self.scale)}")
        return self
