"""Drop path (stochastic depth, Huang et al. 2016) whose choices depend on what is dropped alone."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64
from timm.layers import DropPath
from torch import Tensor, nn

from dino.core.seeding import Purpose, uniforms


@dataclass(frozen=True, kw_only=True)
class DropPathKey:
    """The key of one step's random choices, besides crop and block."""

    purpose: Purpose
    seed: int
    step: int
    images: Int64[Tensor, " batch"] | Int64[np.ndarray, " batch"]
    """Each image's index in the data set; in main memory, where the choices are made."""


# a variable of its own in each thread: several compute pieces of one batch with the same network
_factors: ContextVar[Float[Tensor, "paths rows"] | None] = ContextVar("factors", default=None)


class KeyedDropPath(nn.Module):
    """timm's drop path, with choices that depend on (seed, step, image, crop, `index`).

    While training, the branch of a dropped sample becomes 0 and that of a kept one is divided by
    the probability of keeping it, so that the expectation stays.
    """

    def __init__(self, drop_prob: float, index: int) -> None:
        super().__init__()
        self.drop_prob = drop_prob
        self.index = index
        """Which of the network's drop paths this is."""

    def forward(self, x: Float[Tensor, "rows *shape"]) -> Float[Tensor, "rows *shape"]:
        if not self.training:
            return x
        table = _factors.get()
        assert table is not None, "a network with drop path trains without a DropPathKey"
        factors = table[self.index]
        assert len(factors) == len(x), f"drop path knows {len(factors)} rows, got {len(x)}"
        # in the precision of the branch, as in timm: the product must not widen bf16
        return x * factors.to(x.dtype).view(-1, *[1] * (x.ndim - 1))

    def extra_repr(self) -> str:
        return f"drop_prob={self.drop_prob:.3f}, index={self.index}"


def replace_drop_path(network: nn.Module) -> int:
    """Replace timm's drop paths in `network` by `KeyedDropPath`s, and return their number.

    They are numbered in the order of the modules. A block has one for each of its branches.
    """
    count = 0
    for parent in list(network.modules()):
        for name, module in list(parent.named_children()):
            if isinstance(module, DropPath) and module.drop_prob > 0:
                assert module.scale_by_keep, "drop path that does not keep the expectation"
                replacement = KeyedDropPath(module.drop_prob, count)
                setattr(parent, name, replacement.train(module.training))
                count += 1
    return count


def drop_probabilities(network: nn.Module) -> list[float]:
    """The drop probability of each `KeyedDropPath` of `network`, in the order of their indices."""
    paths = [module for module in network.modules() if isinstance(module, KeyedDropPath)]
    return [path.drop_prob for path in sorted(paths, key=lambda path: path.index)]


@contextmanager
def drop_path_factors(
    key: DropPathKey, crops: Sequence[int], probabilities: Sequence[float], device: torch.device
) -> Iterator[None]:
    """A block in which drop paths know the factors of their rows: 0 or 1 / (1 − probability).

    The rows are those of the images of `key` in the crop numbered `crops[0]`, then `crops[1]`, …
    """
    token = _factors.set(_table(key, crops, probabilities).to(device, non_blocking=True))
    try:
        yield
    finally:
        _factors.reset(token)


def _table(
    key: DropPathKey, crops: Sequence[int], probabilities: Sequence[float]
) -> Float[Tensor, "paths rows"]:
    images, paths = np.asarray(key.images), np.arange(len(probabilities))
    numbers = uniforms(
        key.purpose, key.seed, key.step, images, np.asarray(crops)[:, None], paths[:, None, None]
    )
    dropped = np.asarray(probabilities)[:, None, None]
    factors = np.where(numbers >= dropped, 1 / (1 - dropped), 0.0)
    return torch.from_numpy(factors.astype(np.float32)).flatten(1)
