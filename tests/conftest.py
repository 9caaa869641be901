"""What every test shares: shapes are checked, one thread a process."""

import pkgutil
from pathlib import Path

import pytest
from jaxtyping import install_import_hook

SOURCE = Path(__file__).parents[1] / "src" / "dino"
# before dino is imported for the first time; core has no tensors, and pydantic checks its types
LAYERS = ("data", "model", "objective", "optim", "metrics", "features", "training", "evaluation")
install_import_hook(
    [
        module.name
        for layer in LAYERS
        for module in pkgutil.walk_packages([str(SOURCE / layer)], f"dino.{layer}.")
        # these are compiled, and a compiled function cannot be wrapped
        if not module.name.startswith("dino.data.pixels")
    ],
    "beartype.beartype",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--golden",
        metavar="DIR",
        type=Path,
        default=Path(__file__).parent / "golden",
        help="folder with the reference's numbers (default: tests/golden)",
    )


@pytest.fixture(scope="session", autouse=True)
def _threads() -> None:
    import torch

    # the networks here are tiny: more threads would only wait for each other
    torch.set_num_threads(1)
