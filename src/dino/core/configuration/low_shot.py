"""Logistic regression on the features of few training images."""

from typing import Annotated, ClassVar

from pydantic import Field

from dino.core.configuration.number import PositiveFloat, PositiveInt, PositiveShare, Seed
from dino.core.configuration.section import section


@section
class LowShotConfig:
    """The shares of labels, the number of draws, and the classifier's penalty."""

    needs_labels: ClassVar[bool] = True
    enabled: bool = True
    """False: not computed, which the result then says."""
    fractions: Annotated[tuple[PositiveShare, ...], Field(min_length=1)] = (0.01, 0.1)
    """Shares of the training images whose labels are used (paper: 1 % and 10 %)."""
    draws: PositiveInt = 5
    """Independent stratified draws of each share."""
    inverse_penalty: PositiveFloat = 0.1
    """C of scikit-learn's logistic regression: the larger, the weaker the L2 penalty."""
    max_iterations: PositiveInt = 2000
    """The solver's limit; a fit that needs more iterations is an error."""
    seed: Seed = 0
    """Seed of the draws."""
