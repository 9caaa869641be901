"""The default small model of params.yaml, trained end to end while its crops are made."""

import tempfile
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

from torch import Tensor

from benchmarks.agreement import BF16, FLOAT32, assert_agreement
from benchmarks.errors import BenchmarkError
from benchmarks.images import grey_pngs, prepared
from benchmarks.pipelines import normalised_crops, our_batches, textbook_batches
from benchmarks.sides import CPU, Side, our_side, textbook_side
from benchmarks.timing import medians, spread, turns
from dino.core.configuration.architecture import ArchitectureConfig
from dino.core.configuration.parameters import read_parameters
from dino.core.configuration.pretrain import PretrainConfig
from dino.core.precision import resolve_precision
from dino.training.pretrain import worker_count

SIDE_PX = 28
ROUNDS = 5
WARMUP_STEPS = 12
"""More than the loaders make ahead, so that what is timed is the steady state."""
TIMED_STEPS = 30


def measure(
    names: Collection[str],
    rounds: int = ROUNDS,
    timed_steps: int = TIMED_STEPS,
    parameters: tuple[ArchitectureConfig, PretrainConfig] | None = None,
) -> dict[str, Any]:
    """The result `small_step`; `parameters` are those of params.yaml unless given."""
    architecture, config = parameters or default_parameters()
    precision = resolve_precision(config.precision, CPU)
    workers = worker_count()
    files = grey_pngs((WARMUP_STEPS + timed_steps) * config.batch_size, SIDE_PX)
    with tempfile.TemporaryDirectory() as folder:
        dataset = prepared(files, Path(folder))

        def ours() -> Iterator[list[Tensor]]:
            return our_batches(dataset, config.crops, config.batch_size, workers)

        def textbook() -> Iterator[list[Tensor]]:
            return textbook_batches(files, config.crops, config.batch_size, workers)

        sides = {
            "ours": our_side(architecture, config, precision),
            "textbook": textbook_side(architecture, config),
        }
        crops = next(ours())
        tolerance = FLOAT32 if precision == "float32" else BF16
        differences = assert_agreement(
            "small_step",
            sides["ours"].first_step(crops),
            sides["textbook"].first_step(normalised_crops(crops)),
            tolerance,
        )
        seconds = turns(
            {
                "ours": lambda: _seconds(sides["ours"], ours, timed_steps),
                "textbook": lambda: _seconds(sides["textbook"], textbook, timed_steps),
            },
            rounds,
        )
    times = {name: median / timed_steps for name, median in medians(seconds).items()}
    return {
        "small_step": {
            "ratio": times["textbook"] / times["ours"],
            "ours_s": times["ours"],
            "textbook_s": times["textbook"],
            "ours_images_per_s": config.batch_size / times["ours"],
            "textbook_images_per_s": config.batch_size / times["textbook"],
            "ours_spread": spread(seconds["ours"]),
            "textbook_spread": spread(seconds["textbook"]),
            "ours_precision": precision,
            "workers": workers,
            "rounds": rounds,
            "steps": timed_steps,
            **differences,
        }
    }


def default_parameters() -> tuple[ArchitectureConfig, PretrainConfig]:
    """The first architecture of params.yaml and its pretraining."""
    parameters = read_parameters(Path("params.yaml"))
    architecture = parameters.architectures[parameters.runs.architecture[0]]
    if architecture.drop_path > 0:
        raise BenchmarkError(
            "small_step: expected an architecture without drop path, which is random and would "
            f"make the sides differ, got {architecture.drop_path}"
        )
    return architecture, parameters.pretrain


def _seconds(side: Side, batches: Callable[[], Iterator[list[Tensor]]], steps: int) -> float:
    """The time of `steps` steps with the loader at work, once it has settled."""
    loader = batches()
    for _ in range(WARMUP_STEPS):
        side.step(next(loader))
    start = time.perf_counter()
    for _ in range(steps):
        side.step(next(loader))
    elapsed = time.perf_counter() - start
    # its workers must not run in the other side's turn
    del loader
    return elapsed
