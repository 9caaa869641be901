"""Linear classification of frozen features."""

from typing import Annotated, ClassVar

from pydantic import Field

from dino.core.configuration.number import LearningRate, PositiveInt, Seed
from dino.core.configuration.section import section


@section
class LinearConfig:
    """SGD with momentum 0.9, no weight decay, a cosine learning rate per epoch."""

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
    seed: Seed = 0
    """Seed of the initial weights and of the order of the images."""
