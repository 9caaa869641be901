"""k-NN on features kept in memory, and what it would take at the size of ImageNet."""

from collections.abc import Collection
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any, NamedTuple

import torch
from torch import Tensor

from benchmarks.errors import BenchmarkError
from benchmarks.machine import cores
from benchmarks.memory import peak, reset_peak
from benchmarks.textbook import knn as textbook
from benchmarks.timing import interleaved_seconds, medians, spread
from dino.features.neighbours import class_votes, nearest_neighbours

ROUNDS = 5
K, TEMPERATURE, CLASSES = 20, 0.07, 100


class Shape(NamedTuple):
    """How many features there are, and of which length."""

    bank: int
    queries: int
    dim: int

    @property
    def products(self) -> int:
        """Multiplications for all similarities."""
        return self.bank * self.queries * self.dim


SHAPE = Shape(bank=60_000, queries=10_000, dim=384)
IMAGENET = Shape(bank=1_281_167, queries=50_000, dim=384)


class Features(NamedTuple):
    """A bank with its labels, and what is looked for in it."""

    bank: Tensor
    labels: Tensor
    queries: Tensor


def measure(names: Collection[str], rounds: int = ROUNDS, shape: Shape = SHAPE) -> dict[str, Any]:
    """The result `knn_loop`."""
    torch.set_num_threads(cores())
    features = random_features(shape)
    ours, loop = our_predictions(features), textbook_predictions(features)
    different = int((ours != loop).sum())
    if different:
        raise BenchmarkError(
            f"knn_loop: the sides disagree on {different} of {len(ours)} predictions, expected none"
        )
    seconds = interleaved_seconds(
        {
            "ours": lambda: our_predictions(features),
            "textbook": lambda: textbook_predictions(features),
        },
        rounds,
    )
    times = medians(seconds)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        working = pool.submit(working_bytes, shape).result()
    return {
        "knn_loop": {
            "ratio": times["textbook"] / times["ours"],
            "ours_s": times["ours"],
            "textbook_s": times["textbook"],
            "ours_spread": spread(seconds["ours"]),
            "textbook_spread": spread(seconds["textbook"]),
            "rounds": rounds,
            "different_predictions": different,
            "working_memory_mib": working / 2**20,
            **_at_imagenet(shape, times["ours"], working),
        }
    }


def random_features(shape: Shape) -> Features:
    """Features around one centre for each class, as far apart as those of a good teacher."""
    generator = torch.Generator().manual_seed(0)
    centres = torch.randn(CLASSES, shape.dim, generator=generator)

    def draw(images: int) -> tuple[Tensor, Tensor]:
        labels = torch.randint(CLASSES, (images,), generator=generator)
        return centres[labels] + 2 * torch.randn(images, shape.dim, generator=generator), labels

    bank, labels = draw(shape.bank)
    return Features(bank, labels, draw(shape.queries)[0])


def our_predictions(features: Features) -> Tensor:
    """The class of each query as `dino knn` finds it."""
    similarities, indices = nearest_neighbours(features.bank, features.queries, K)
    return class_votes(similarities, features.labels[indices], TEMPERATURE, CLASSES).argmax(dim=1)


def textbook_predictions(features: Features) -> Tensor:
    """The class of each query by a plain loop."""
    return textbook.predictions(*features, k=K, temperature=TEMPERATURE, classes=CLASSES)


def working_bytes(shape: Shape) -> int:
    """How far `our_predictions` raises a process's memory above the features themselves."""
    torch.set_num_threads(cores())
    # code and threads are loaded before the memory is looked at
    our_predictions(random_features(Shape(bank=500, queries=50, dim=8)))
    features = random_features(shape)
    before = reset_peak()
    our_predictions(features)
    return peak() - before


def _at_imagenet(shape: Shape, seconds: float, working: int) -> dict[str, float]:
    """Time in proportion to the products; memory of features and, for every query, as here."""
    features = 4 * (IMAGENET.bank + IMAGENET.queries) * IMAGENET.dim
    growth = max(1.0, IMAGENET.queries / shape.queries)
    return {
        "imagenet_projected_s": seconds * IMAGENET.products / shape.products,
        "imagenet_projected_gib": (features + growth * working) / 2**30,
    }
