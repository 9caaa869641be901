"""Segmentation by the attention of the [CLS] token."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from dino.core.configuration.number import PositiveInt, ProperShare, SidePx
from dino.core.configuration.section import section

Protocol = Literal["paper", "best_head_fixed", "mean_of_heads"]


@section
class AttentionConfig:
    """Protocols of the attention masks (paper: section 4.2.2 and its appendix).

    The first protocol with the first mass gives the headline.
    """

    image_size_px: SidePx = 480
    """The side to which an image is resized for the teacher; masks are scored at this size."""
    protocols: Annotated[tuple[Protocol, ...], Field(min_length=1)] = (
        "paper",
        "best_head_fixed",
        "mean_of_heads",
    )
    """paper: the best head of each object, chosen with the truth; best_head_fixed: one head, the
    best of the training images; mean_of_heads: the mean of the heads' attention.
    """
    masses: Annotated[tuple[ProperShare, ...], Field(min_length=1)] = (0.6, 0.8)
    """Shares of the attention that a mask keeps (paper: 0.6 in its figure, 0.8 in its appendix)."""
    objects: Literal["foreground", "objects"] = "foreground"
    """foreground: all objects of an image count as one; objects: each object is scored, and an
    image has the mean of its objects.
    """
    void: Literal["ignore", "background"] = "ignore"
    """ignore: pixels without truth are left out of intersection and union."""
    images: PositiveInt = 1000
    """Number of test images scored, spread evenly over the split."""
    selection_images: PositiveInt = 500
    """Number of training images on which best_head_fixed chooses its head, spread evenly too."""
    examples: PositiveInt = 8
    """Number of the test images whose maps are kept for the figure of the maps."""

    @model_validator(mode="after")
    def _protocols_are_different(self) -> Self:
        for name in ("protocols", "masses"):
            values = getattr(self, name)
            if len(set(values)) < len(values):
                raise ValueError(f"expected {name} without duplicates, got {list(values)}")
        return self

    @property
    def headline(self) -> str:
        """The key in result files of the first protocol with the first mass: paper@0.6."""
        return protocol_key(self.protocols[0], self.masses[0])


def protocol_key(protocol: str, mass: float) -> str:
    """The name of a protocol with a mass in result files: paper@0.6."""
    return f"{protocol}@{mass:g}"
