"""A JPEG of 500×375 pixels to ten normalised crops, on one core."""

import tempfile
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.errors import BenchmarkError
from benchmarks.images import jpegs, prepared
from benchmarks.machine import cores
from benchmarks.pipelines import normalised_crops, our_batches, textbook_batches
from benchmarks.timing import interleaved_seconds, medians, spread
from dino.core.configuration.pretrain import CropsConfig

WIDTH_PX, HEIGHT_PX = 500, 375
IMAGES, BATCH = 32, 8
ROUNDS = 9
TOLERANCE = 0.15
"""Of mean and deviation, in units of the normalised pixels, between two draws of all crops."""


def measure(
    names: Collection[str],
    rounds: int = ROUNDS,
    images: int = IMAGES,
    config: CropsConfig | None = None,
) -> dict[str, Any]:
    """The result `augmentation`: seconds for an image, decoding and normalisation included."""
    config = config or CropsConfig()
    files = jpegs(images, WIDTH_PX, HEIGHT_PX)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        dataset = prepared(files, Path(folder))

        def ours() -> Iterator[list[Tensor]]:
            for crops in our_batches(dataset, config, BATCH, workers=0):
                yield normalised_crops(crops)

        def textbook() -> Iterator[list[Tensor]]:
            return textbook_batches(files, config, BATCH, workers=0)

        difference = _assert_alike(list(ours()), list(textbook()))
        seconds = interleaved_seconds(
            {"ours": lambda: list(ours()), "textbook": lambda: list(textbook())}, rounds
        )
    torch.set_num_threads(cores())
    times = {name: median / images for name, median in medians(seconds).items()}
    return {
        "augmentation": {
            "ratio": times["textbook"] / times["ours"],
            "ours_s": times["ours"],
            "textbook_s": times["textbook"],
            "ours_spread": spread(seconds["ours"]),
            "textbook_spread": spread(seconds["textbook"]),
            "images": images,
            "rounds": rounds,
            "distribution_difference": difference,
            "tolerance": TOLERANCE,
        }
    }


def _assert_alike(ours: Sequence[list[Tensor]], textbook: Sequence[list[Tensor]]) -> float:
    """The largest difference of the global or local crops' mean or deviation.

    The two draw different random numbers, so that only their distributions agree; the operations
    are compared one by one in the tests of the augmentation.
    """
    shapes = [[tuple(crop.shape) for crop in batches[0]] for batches in (ours, textbook)]
    if shapes[0] != shapes[1]:
        raise BenchmarkError(f"augmentation: expected crops of {shapes[1]}, ours are {shapes[0]}")
    largest = 0.0
    for chosen in (slice(0, 2), slice(2, None)):
        mean, deviation = _moments(ours, chosen)
        expected_mean, expected_deviation = _moments(textbook, chosen)
        difference = max(abs(mean - expected_mean), abs(deviation - expected_deviation))
        largest = max(largest, difference)
    if not largest <= TOLERANCE:
        raise BenchmarkError(
            f"augmentation: the crops' distributions differ by {largest:.2g}, expected at most "
            f"{TOLERANCE}"
        )
    return largest


def _moments(batches: Sequence[list[Tensor]], chosen: slice) -> tuple[float, float]:
    pixels = torch.cat([crop.flatten() for crops in batches for crop in crops[chosen]])
    return float(pixels.mean()), float(pixels.std())
