"""Random streams that depend on what they are for, never on who draws or what was drawn before."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import ArrayLike, NDArray

# SplitMix64: Steele, Lea, Flood 2014; its output function is Stafford's 13th variant
_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_MULTIPLIERS = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
_SHIFTS = (np.uint64(30), np.uint64(27), np.uint64(31))
_DROPPED_BITS = np.uint64(11)


def stream(*key: int) -> np.random.Generator:
    """A generator for `key`, such as (seed, epoch, image): equal keys give equal numbers."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(key)))


def uniforms(*key: ArrayLike) -> NDArray[np.float64]:
    """One number in [0, 1) for each key of integers, whose words are broadcast to one shape.

    Where `stream` would need a generator for every number: each depends on its own key alone,
    not on its place in the arrays. The words are absorbed one after the other by SplitMix64's
    output function, so that their order matters; the number has the 53 upper bits of the result.
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
def all_seeded(*key: int) -> Iterator[None]:
    """A block in which the global generators of python, numpy and torch depend on `key` alone.

    For libraries that take no generator; afterwards all three are as before.
    """
    import torch

    # numpy's legacy generator is what such libraries draw from
    before = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    words = np.random.SeedSequence(key).generate_state(3)
    random.seed(int(words[0]))
    np.random.seed(words[1])  # noqa: NPY002
    torch.default_generator.manual_seed(int(words[2]))
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])  # noqa: NPY002
        torch.set_rng_state(before[2])
