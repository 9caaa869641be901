"""What a layer of a network gives for a batch of images."""

from dataclasses import dataclass
from typing import Literal

from jaxtyping import Float
from torch import Tensor

Facet = Literal["query", "key", "value", "token"]
"""What stands for a patch: the output of a block, or what its attention compares or adds up."""


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """The tokens of one layer: first those that belong to no patch, then one for each patch."""

    values: Float[Tensor, "batch tokens dim"]
    """The channels of a query, key or value are those of the first head, then of the second, ..."""
    grid: tuple[int, int]
    """The number of rows and columns of patches."""
    prefix_tokens: int
    """The number of tokens before the patches: [CLS], then distillation or register tokens."""
    heads: int
    """The number of heads that `values` is made of; 1 for the output of a block."""

    @property
    def patches(self) -> Float[Tensor, "batch rows columns dim"]:
        """The patches on their grid."""
        return self.values[:, self.prefix_tokens :].unflatten(1, self.grid)

    @property
    def prefix(self) -> Float[Tensor, "batch prefix dim"]:
        """The tokens that belong to no patch."""
        return self.values[:, : self.prefix_tokens]


@dataclass(frozen=True, kw_only=True)
class Attention:
    """Which tokens each token, or [CLS] alone, looks at in one block."""

    values: Float[Tensor, "batch heads rows tokens"]
    """Each row sums to 1."""
    grid: tuple[int, int]
    """The number of rows and columns of patches."""
    prefix_tokens: int
    """The number of tokens before the patches."""

    @property
    def of_first_token(self) -> Float[Tensor, "batch heads rows columns"]:
        """What the first token, [CLS], gives to the patches, on their grid.

        Not renormalised: what is missing to 1 goes to the tokens that belong to no patch.
        """
        return self.values[:, :, 0, self.prefix_tokens :].unflatten(-1, self.grid)
