"""Segmentation by the attention of the [CLS] token."""

from typing import Annotated

from pydantic import Field, PositiveInt

from dino.core.configuration.section import section


@section
class AttentionConfig:
    """Protocol of the attention masks (paper: section 4.2.2 and its appendix)."""

    image_size_px: PositiveInt = 480
    """Side that an image is resized to before the teacher sees it; masks are scored there."""
    mass: Annotated[float, Field(gt=0, lt=1)] = 0.6
    """Share of the attention that a mask keeps (paper: 0.6 in its figure, 0.8 in its appendix)."""
    images: PositiveInt = 1000
    """Number of test images scored, spread evenly over the split."""
    examples: PositiveInt = 8
    """Number of these images whose maps are kept for the figures."""
