"""Random streams that depend on what they are for, never on who draws or what was drawn before."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def stream(*key: int) -> np.random.Generator:
    """A generator for `key`, such as (seed, epoch, image): equal keys give equal numbers."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(key)))


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """A block in which torch's global generator starts from `seed`; afterwards it is as before."""
    state = torch.get_rng_state()
    torch.manual_seed(seed)
    try:
        yield
    finally:
        torch.set_rng_state(state)
