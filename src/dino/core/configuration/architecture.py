"""What a backbone is: a timm architecture, the numbers that size it, and where it comes from."""

import re
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from dino.core.configuration.number import Depth, ShareBelowOne, SidePx, Width
from dino.core.configuration.section import section
from dino.core.errors import CheckpointError

# vit_small_patch16_224, xcit_small_12_p8_224
_PATCH = re.compile(r"_(?:patch|p)(\d+)_")

_DEPTHS = {"tiny": 12, "small": 12, "base": 12, "large": 24, "huge": 32}
_PLAIN_VIT = re.compile(rf"(?:vit|deit)_({'|'.join(_DEPTHS)})_patch\d+_\d+")
_POOLED = ("resnet", "xcit")
"""The beginnings of names of networks that have a single feature, without [CLS] in each block."""


@section
class WeightsConfig:
    """An existing teacher; exactly one of `file`, `timm` and `folder` says where it is."""

    file: str | None = None
    """A training checkpoint, or a file with a backbone alone, of this project or the reference."""
    network: Literal["teacher", "student"] = "teacher"
    """Which of the two networks in `file` is taken."""
    timm: str | None = None
    """Name of pretrained weights in timm, such as vit_small_patch16_224.dino; from the hub."""
    folder: str | None = None
    """A folder that timm opens: config.json and model.safetensors."""
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None
    """The checksum that `file`, or the weights in `folder`, must have; null accepts any file."""

    def check_sha256(self, found: str) -> None:
        """Raise `CheckpointError` unless `found`, that of the file, is the one that is expected."""
        if self.sha256 not in (None, found):
            raise CheckpointError(
                f"{self.source}: expected the SHA-256 {self.sha256} of weights.sha256, got "
                f"{found}; restore the file, or write its own checksum there"
            )

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        given = [name for name in ("file", "timm", "folder") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                f"expected one of file, timm and folder, got {' and '.join(given) or 'none'}"
            )
        if self.network != "teacher" and self.file is None:
            raise ValueError(f"expected network: teacher with {given[0]}, got {self.network}")
        if self.sha256 is not None and self.timm is not None:
            raise ValueError("expected sha256 with file or folder, got it with timm")
        return self

    @property
    def source(self) -> str:
        """The text that names the weights in tables and messages."""
        if self.file is not None:
            return f"the {self.network} in {self.file}"
        return f"timm's {self.timm}" if self.timm is not None else str(self.folder)


@section
class ArchitectureConfig:
    """A timm architecture; the optional numbers replace those that its name implies."""

    timm_name: str
    """Name in timm's registry, such as vit_small_patch16_224."""
    image_size_px: SidePx = 224
    """Side of the square image that the positional embedding is made for."""
    patch_size_px: SidePx | None = None
    embed_dim: Width | None = None
    depth: Depth | None = None
    num_heads: Depth | None = None
    drop_path: ShareBelowOne = 0.1
    """Stochastic depth of the student's last block (reference: 0.1); the teacher has none."""
    weights: WeightsConfig | None = None
    """A teacher to evaluate in place of one that is trained here: nothing is trained then."""

    @property
    def patch_px(self) -> int | None:
        """The patch that is written here or implied by the name; None for a network without."""
        implied = _PATCH.search(self.timm_name)
        return self.patch_size_px or (int(implied[1]) if implied else None)

    @property
    def blocks(self) -> int | None:
        """How many last blocks have a token of their own to keep, as `depth` or the name says;
        None where neither does.
        """
        if self.timm_name.startswith(_POOLED):
            return 1
        implied = _PLAIN_VIT.fullmatch(self.timm_name.split(".")[0])
        return self.depth or (_DEPTHS[implied[1]] if implied else None)

    @model_validator(mode="after")
    def _weights_are_of_it(self) -> Self:
        name = self.weights.timm if self.weights else None
        if name is not None and name.split(".")[0] != self.timm_name.split(".")[0]:
            raise ValueError(f"expected weights.timm of {self.timm_name}, got {name}")
        return self

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
