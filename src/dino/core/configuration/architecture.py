"""What a backbone is: a timm architecture and the few numbers that size it."""

import re
from typing import Annotated, Self

from pydantic import Field, PositiveInt, model_validator

from dino.core.configuration.section import section

# vit_small_patch16_224, xcit_small_12_p8_224
_PATCH = re.compile(r"_(?:patch|p)(\d+)_")


@section
class ArchitectureConfig:
    """A timm architecture; the optional numbers replace those that its name implies."""

    timm_name: str
    """Name in timm's registry, such as vit_small_patch16_224."""
    image_size_px: PositiveInt = 224
    """Side of the square image that the positional embedding is made for."""
    patch_size_px: PositiveInt | None = None
    embed_dim: PositiveInt | None = None
    depth: PositiveInt | None = None
    num_heads: PositiveInt | None = None
    drop_path: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Stochastic depth of the student's last block (reference: 0.1); the teacher has none."""

    @property
    def patch_px(self) -> int | None:
        """The patch that is written here or implied by the name; None for a network without."""
        implied = _PATCH.search(self.timm_name)
        return self.patch_size_px or (int(implied[1]) if implied else None)

    @model_validator(mode="after")
    def _sizes_fit(self) -> Self:
        if self.patch_px and self.image_size_px % self.patch_px:
            raise ValueError(
                f"expected image_size_px to be a multiple of patch_size_px {self.patch_px}, "
                f"got {self.image_size_px}"
            )
        if self.embed_dim and self.num_heads and self.embed_dim % self.num_heads:
            raise ValueError(
                f"expected embed_dim to be a multiple of num_heads {self.num_heads}, "
                f"got {self.embed_dim}"
            )
        return self
