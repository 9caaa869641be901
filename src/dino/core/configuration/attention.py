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
    """Side that an image is resized to before the teacher sees it; masks are scored there."""
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
    """foreground: all objects of an image are one; objects: each is scored, an image has their
    mean.
    """
    void: Literal["ignore", "background"] = "ignore"
    """ignore: pixels of which the truth says nothing are left out of intersection and union."""
    images: PositiveInt = 1000
    """Number of test images scored, spread evenly over the split."""
    selection_images: PositiveInt = 500
    """Number of training images that best_head_fixed chooses its head on, spread likewise."""
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
    """How result files call a protocol with a mass: paper@0.6."""
    return f"{protocol}@{mass:g}"
