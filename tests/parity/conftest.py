"""The reference's numbers, from the folder that --golden names."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.lib.npyio import NpzFile


@pytest.fixture(scope="session")
def golden(request: pytest.FixtureRequest) -> Callable[[str], NpzFile]:
    """A function from a file's name (without .npz) to its arrays."""
    folder = request.config.getoption("--golden")
    return lambda name: np.load(folder / f"{name}.npz", allow_pickle=False)
