"""Random streams that depend on what they are for, never on who draws or what was drawn before."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def stream(*key: int) -> np.random.Generator:
    """A generator for `key`, such as (seed, epoch, image): equal keys give equal numbers."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(key)))


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """A block in which the global generators start from `seed`; afterwards they are as before."""
    python_state, numpy_state, torch_state = (
        random.getstate(),
        np.random.get_state(),
        torch.get_rng_state(),
    )
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)
        torch.set_rng_state(torch_state)
