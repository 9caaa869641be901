"""What every test shares: shapes are checked, one thread a process, the slow ones begin first."""

import os
import pkgutil
from pathlib import Path
from typing import Any

import pytest
from jaxtyping import install_import_hook

# threads that wait leave the core to the processes beside them; changes no number. Read when torch
# is loaded, and by the commands that tests start
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
TESTS = Path(__file__).parent
TOGETHER = ("slurm", "workflow")
"""Folders whose tests share what takes long to make: one process executes them all."""
SLOW = (
    *TOGETHER,
    "training/test_kills.py",
    "training/test_collapse.py",
    "reporting/test_explorer_browser.py",
    "reporting/test_report.py",
    "reporting/test_figures.py",
    "stages/test_any_images.py",
    "launch/test_local.py",
    "evaluation/test_finetune.py",
    "benchmarks",
)
"""Folders and files, the longest first. `make test-fast` leaves them out."""
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


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "slow: set by tests/conftest.py; not in `make test-fast`")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    places = {item: _place(str(item.path.relative_to(TESTS))) for item in items}
    for item, place in places.items():
        if place < len(SLOW):
            item.add_marker("slow")
    # with one process the order stays that of the folders
    if hasattr(config, "workerinput"):
        items.sort(key=places.__getitem__)


def _place(path: str) -> int:
    """The place of a test file, relative to this folder, in SLOW; one behind it for all others."""
    found = (n for n, slow in enumerate(SLOW) if path == slow or path.startswith(f"{slow}/"))
    return next(found, len(SLOW))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        """A file, or a folder of TOGETHER, is executed by one process, in the order given."""

        def _split_scope(self, nodeid: str) -> str:
            folder = Path(nodeid).relative_to(TESTS.name).parts[0]
            return folder if folder in TOGETHER else nodeid.partition("::")[0]

    config.option.loadscopereorder = False
    return ByFile(config, log)


@pytest.fixture(scope="session", autouse=True)
def _threads() -> None:
    import torch

    # the networks here are tiny: more threads would only wait for each other
    torch.set_num_threads(1)
