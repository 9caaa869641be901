"""Weighted k-nearest-neighbour classification of frozen features."""

from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from dino.core.configuration.number import PositiveInt, VoteTemperature
from dino.core.configuration.section import section


@section
class KnnConfig:
    """Numbers of neighbours, and the temperature of their votes (paper: section 4.1)."""

    needs_labels: ClassVar[bool] = True
    neighbours: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (10, 20, 100, 200)
    headline: PositiveInt = 20
    """The number of neighbours whose accuracy the tables show."""
    temperature: VoteTemperature = 0.07
    """The temperature of the votes exp(similarity / temperature), which overflow below 0.0015."""

    leave_one_out: bool = False
    """Also classify each training image by all others, for small sets."""

    @model_validator(mode="after")
    def _headline_is_computed(self) -> Self:
        if self.headline not in self.neighbours:
            raise ValueError(
                f"expected headline to be one of neighbours {list(self.neighbours)}, "
                f"got {self.headline}"
            )
        return self
