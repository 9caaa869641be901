"""How well the classes are separated in the feature space, without a classifier."""

from typing import ClassVar, Literal

from dino.core.configuration.section import section


@section
class SilhouetteConfig:
    """Which images are asked."""

    needs_labels: ClassVar[bool] = True
    enabled: bool = True
    """False: not computed, which the result then says."""
    split: Literal["val", "test"] = "test"
