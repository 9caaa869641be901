"""Random numbers that depend on what they are for, not on who draws them or what was drawn before.

The weights of a network are drawn otherwise: from torch's generator, which starts from the seed.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum

import numpy as np
from numpy.typing import ArrayLike, NDArray

# SplitMix64: Steele, Lea, Flood 2014; its output function is Stafford's 13th variant
_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_MULTIPLIERS = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
_SHIFTS = (np.uint64(30), np.uint64(27), np.uint64(31))
_DROPPED_BITS = np.uint64(11)
_WORD = 2**32


class Purpose(Enum):
    """What random numbers are drawn for: its number, and the indices that choose among its streams.

    No two purposes share a stream: a key begins with the purpose's number, and each purpose has a
    fixed count of indices. Without that, keys such as (0, 0) and (0, 0, 0) would give the same
    numbers, because numpy's SeedSequence ignores zeros at the end.
    """

    PRETRAIN_ORDER = (0, "seed", "epoch")
    PRETRAIN_CROPS = (1, "seed", "epoch", "image")
    LINEAR_PAPER_ORDER = (2, "seed", "epoch")
    LINEAR_PAPER_CROPS = (3, "seed", "epoch", "image")
    PRETRAIN_DROP_PATH = (4, "seed", "step", "image", "crop", "path")
    SPLIT = (10, "seed")
    CORRUPTION = (20, "seed", "severity", "image")
    FINETUNE_SUBSET = (30, "seed")
    FINETUNE_ORDER = (31, "seed", "epoch")
    FINETUNE_AUGMENTATION = (32, "seed", "epoch", "image")
    FINETUNE_MIXING = (33, "seed", "step")
    FINETUNE_DROP_PATH = (34, "seed", "step", "image", "crop", "path")
    LOW_SHOT_DRAW = (40, "seed", "draw")

    def __init__(self, number: int, *indices: str) -> None:
        self.number = number
        self.indices = indices
        """The names of the indices, in the order in which they are given."""

    def seed_sequence(self, *indices: int) -> np.random.SeedSequence:
        """numpy's seed for one stream: this purpose's number, then a word for each index."""
        self._check(len(indices))
        # a larger index would take two words, and (2³², 1) the same words as (0, 1, 1)
        assert all(0 <= index < _WORD for index in indices), f"{self.name}: {indices}"
        return np.random.SeedSequence((self.number, *indices))

    def _check(self, given: int) -> None:
        assert given == len(self.indices), f"{self.name} has {self.indices}, got {given} indices"


def stream(purpose: Purpose, *indices: int) -> np.random.Generator:
    """A generator whose numbers depend on the purpose and on its indices alone."""
    return np.random.Generator(np.random.Philox(purpose.seed_sequence(*indices)))


def uniforms(purpose: Purpose, *indices: ArrayLike) -> NDArray[np.float64]:
    """One number in [0, 1) for each combination of the indices, which are broadcast to one shape.

    It replaces `stream` where every number would need a generator of its own: a number depends on
    its own indices, not on its place in the arrays.
    """
    purpose._check(len(indices))
    return hashed(purpose.number, *indices)


def hashed(*key: ArrayLike) -> NDArray[np.float64]:
    """One number in [0, 1) for each key of integers, whose words are broadcast to one shape.

    The words are absorbed one after the other by SplitMix64's output function, so that their order
    matters; the number has the 53 upper bits of the result.
    """
    state = np.zeros((), np.uint64)
    # arithmetic modulo 2⁶⁴ is what is wanted; numpy warns of it for scalars
    with np.errstate(over="ignore"):
        for word in key:
            # two's complement: negative words are words too
            state = _mixed((state ^ np.asarray(word, np.int64).astype(np.uint64)) + _GAMMA)
    return np.asarray(state >> _DROPPED_BITS, np.float64) * 2.0**-53


def _mixed(state: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """A bijection in which each bit of the argument turns each bit of the result half the time."""
    for multiplier, shift in zip(_MULTIPLIERS, _SHIFTS[:2], strict=True):
        state = (state ^ (state >> shift)) * multiplier
    return state ^ (state >> _SHIFTS[2])


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """A block in which torch's global generator starts from `seed`; afterwards it is as before."""
    # here, because drawing with numpy alone, as the plan of splits does, has to start quickly
    import torch

    state = torch.get_rng_state()
    torch.manual_seed(seed)
    try:
        yield
    finally:
        torch.set_rng_state(state)


@contextmanager
def all_seeded(purpose: Purpose, *indices: int) -> Iterator[None]:
    """A block in which the global generators of python, numpy and torch depend on its key alone.

    It serves libraries that take no generator. After the block all three are as before.
    """
    import torch

    # numpy's legacy generator is what such libraries draw from
    before = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    words = purpose.seed_sequence(*indices).generate_state(3)
    random.seed(int(words[0]))
    np.random.seed(words[1])  # noqa: NPY002
    torch.default_generator.manual_seed(int(words[2]))
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])  # noqa: NPY002
        torch.set_rng_state(before[2])
