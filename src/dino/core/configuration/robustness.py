"""k-NN classification of corrupted images."""

from typing import ClassVar

from dino.core.configuration.number import PositiveInt, Seed, VoteTemperature
from dino.core.configuration.section import section


@section
class RobustnessConfig:
    """How many images are corrupted, and the vote that classifies them (paper: section 4.1)."""

    needs_labels: ClassVar[bool] = True
    enabled: bool = True
    """False: not computed, which the result then says."""
    images: PositiveInt = 2000
    """Number of test images, spread evenly over the split; every one in every corruption."""
    neighbours: PositiveInt = 20
    temperature: VoteTemperature = 0.07
    """The temperature of the votes exp(similarity / temperature), which overflow below 0.0015."""
    seed: Seed = 0
    """Seed of the noise."""
