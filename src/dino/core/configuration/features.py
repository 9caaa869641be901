"""Which features of a teacher are computed once and shared by the evaluations."""

from typing import Literal, Self

from pydantic import model_validator

from dino.core.configuration.number import Depth, PositiveInt, SidePx
from dino.core.configuration.section import section


@section
class FeaturesConfig:
    """Image preprocessing and the layers whose [CLS] tokens are kept."""

    resize_px: SidePx = 256
    """Short side that an image is resized to (bicubic)."""
    crop_px: SidePx = 224
    """Side of the central square that the teacher sees."""
    last_blocks: Depth = 4
    """[CLS] tokens are kept of this many last blocks (paper: 4 for ViT-S, 1 for ViT-B)."""
    batch_size: PositiveInt = 256
    """Images that a teacher sees at a time; changes speed, not features."""
    precision: Literal["auto", "float32", "bf16"] = "float32"
    """auto: bf16 where the processor computes it faster than float32, else float32."""

    @model_validator(mode="after")
    def _crop_fits(self) -> Self:
        if self.crop_px > self.resize_px:
            raise ValueError(
                f"expected crop_px of at most resize_px {self.resize_px}, got {self.crop_px}"
            )
        return self
