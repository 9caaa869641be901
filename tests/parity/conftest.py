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


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test for each trajectory in the folder."""
    if "trajectory" in metafunc.fixturenames:
        folder = metafunc.config.getoption("--golden")
        files = sorted(folder.glob("training_trajectory_*.npz"))
        assert files, f"{folder} has no training_trajectory_*.npz"
        metafunc.parametrize("trajectory", [file.stem for file in files])
