"""What every kind of network is asked for."""

from collections.abc import Sequence
from typing import Literal, Protocol

from jaxtyping import Float
from torch import Tensor, nn

from dino.features.networks.tokens import Facet, Tokens

Rows = Literal["all", "cls"]
"""Whose attention is meant: that of every token, or that of [CLS] alone."""


class Network(Protocol):
    """A network that takes images as it was trained to see them, in evaluation mode."""

    module: nn.Module
    layers: int
    """The number of blocks; of a convnet, the number of its feature maps."""
    prefix_tokens: int
    """The number of tokens in each block that belong to no patch."""
    has_cls_token: bool
    """Whether the first token of each block is [CLS]."""
    patch_size_px: tuple[int, int] | None
    """Height and width of a patch; None for a network without."""

    @property
    def heads(self) -> int | None:
        """The number of heads of a block; None without attention over tokens."""

    @property
    def no_attention(self) -> str | None:
        """Why the network has no queries, keys, values and attention over tokens; else None."""

    def with_stride(self, stride_px: tuple[int, int]) -> "Network":
        """The same network, whose patches begin every `stride_px`."""

    def feature_and_patches(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> tuple[Float[Tensor, "batch dim"], Float[Tensor, "batch patches channels"]]:
        """The feature of each image, and the last layer's patches after the final norm."""

    def tokens(
        self,
        images: Float[Tensor, "batch 3 height width"],
        layers: Sequence[int],
        facet: Facet,
        normed: bool,
    ) -> dict[int, Tokens]:
        """The tokens of each of `layers`, counted from 0; with `normed` after the final norm."""

    def attention(
        self, images: Float[Tensor, "batch 3 height width"], layer: int, rows: Rows
    ) -> tuple[Float[Tensor, "batch heads rows tokens"], tuple[int, int]]:
        """The attention of one block, and the grid of patches."""
