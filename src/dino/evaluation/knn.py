"""Weighted k-nearest-neighbour classification of frozen features (paper: section 4.1)."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from dino.core.configuration.knn import KnnConfig
from dino.core.score import Score, bounds, setting
from dino.features.labelled_splits import LabelledFeatures, LabelledSplits
from dino.features.neighbours import class_votes, nearest_neighbours
from dino.metrics.accuracy import rank_of_label, top_k_accuracy
from dino.metrics.intervals import share_interval

_KEYS = {
    ("test", "top1"): "knn_top1",
    ("test", "top5"): "knn_top5",
    ("val", "top1"): "knn_val_top1",
}
"""The names of the scores with the headline number of neighbours, by split and metric."""
_BLOCK_VOTES = 2**24
"""Votes held at a time: 128 MiB."""


@dataclass(frozen=True, kw_only=True)
class KnnAccuracy:
    """Percentages of images."""

    top1: float
    top5: float
    """The percentage whose class is among the best min(5, k) classes."""
    top1_interval: tuple[float, float] | None
    """95 % bootstrap interval over the images; None without images."""
    top5_interval: tuple[float, float] | None


@dataclass(frozen=True, kw_only=True)
class KnnResult:
    """Accuracy with the training images as the bank, for each number of neighbours."""

    val: dict[int, KnnAccuracy]
    test: dict[int, KnnAccuracy]
    leave_one_out: dict[int, KnnAccuracy] | None
    """The accuracy of each training image among all others; None unless asked for."""


def knn(splits: LabelledSplits, config: KnnConfig) -> KnnResult:
    """The accuracies on val and test; the bank is train in both cases."""

    def accuracies(queries: LabelledFeatures) -> dict[int, KnnAccuracy]:
        return knn_accuracies(
            bank=splits.train.features,
            bank_labels=splits.train.labels,
            queries=queries.features,
            query_labels=queries.labels,
            neighbours=config.neighbours,
            temperature=config.temperature,
            classes=splits.classes,
        )

    leave_one_out = None
    if config.leave_one_out:
        leave_one_out = knn_accuracies(
            bank=splits.train.features,
            bank_labels=splits.train.labels,
            queries=splits.train.features,
            query_labels=splits.train.labels,
            neighbours=config.neighbours,
            temperature=config.temperature,
            classes=splits.classes,
            queries_are_bank=True,
        )
    return KnnResult(
        val=accuracies(splits.val), test=accuracies(splits.test), leave_one_out=leave_one_out
    )


def knn_scores(
    model: str, result: KnnResult, splits: LabelledSplits, config: KnnConfig
) -> list[Score]:
    """Every accuracy of `result`; split=train is that of each training image among the others."""
    of_splits = (
        ("test", result.test),
        ("val", result.val),
        ("train", result.leave_one_out or {}),
    )
    return [
        Score(
            model=model,
            setting=setting(split=split, k=k),
            metric=metric,
            value=value,
            n=splits.images[split],
            key=_KEYS.get((split, metric), "") if k == config.headline else "",
            **bounds(interval),
        )
        for split, accuracies in of_splits
        for k, found in accuracies.items()
        for metric, value, interval in (
            ("top1", found.top1, found.top1_interval),
            ("top5", found.top5, found.top5_interval),
        )
    ]


@torch.no_grad()
def knn_accuracies(
    *,
    bank: Float[Tensor, "bank dim"],
    bank_labels: Int64[Tensor, " bank"],
    queries: Float[Tensor, "queries dim"],
    query_labels: Int64[Tensor, " queries"],
    neighbours: tuple[int, ...],
    temperature: float,
    classes: int,
    queries_are_bank: bool = False,
) -> dict[int, KnnAccuracy]:
    """The accuracy for each number of neighbours.

    With `queries_are_bank` query i is image i of the bank, and is classified by all others.

    As the reference's `knn_classifier`, except that any number of classes and queries is
    allowed, that more neighbours than the bank holds means all of it, and that of equal votes
    (so of all classes without any) the lower class index ranks first.
    """
    if queries_are_bank:
        similarities, indices = _others(*nearest_neighbours(bank, queries, max(neighbours) + 1))
    else:
        similarities, indices = nearest_neighbours(bank, queries, max(neighbours))
    labels = bank_labels[indices]
    truth = query_labels.cpu().numpy()
    accuracies = {}
    for k in neighbours:
        ranks = np.empty(len(truth), dtype=np.int64)
        rows = max(1, _BLOCK_VOTES // classes)
        for start in range(0, len(truth), rows):
            block = slice(start, start + rows)
            votes = class_votes(similarities[block, :k], labels[block, :k], temperature, classes)
            ranks[block] = rank_of_label(votes.cpu().numpy(), truth[block])
        accuracies[k] = KnnAccuracy(
            top1=top_k_accuracy(ranks, 1),
            top5=top_k_accuracy(ranks, min(5, k)),
            top1_interval=share_interval(top_k_accuracy(ranks, 1), len(ranks)),
            top5_interval=share_interval(top_k_accuracy(ranks, min(5, k)), len(ranks)),
        )
    return accuracies


def _others(
    similarities: Float[Tensor, "images more"], indices: Int64[Tensor, "images more"]
) -> tuple[Float[Tensor, "images fewer"], Int64[Tensor, "images fewer"]]:
    """The neighbours without the image itself, or without the last where it is not among them."""
    own = indices == torch.arange(len(indices), device=indices.device)[:, None]
    # an image with more equals than neighbours were looked for may not be among its own
    own[:, -1] |= ~own.any(dim=1)
    shape = (len(indices), indices.shape[1] - 1)
    return similarities[~own].view(shape), indices[~own].view(shape)
