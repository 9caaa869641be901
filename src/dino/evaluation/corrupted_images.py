"""Corrupted test images and their k-NN accuracy: the same for every kind of feature."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from PIL import Image
from torch import Tensor

from dino.core.configuration.robustness import RobustnessConfig
from dino.core.score import Score, bounds, setting
from dino.data.corruptions import CORRUPTIONS, SEVERITIES, corrupted
from dino.data.dataset import PreparedDataset
from dino.features.neighbours import class_votes, nearest_neighbours
from dino.metrics.accuracy import rank_of_label
from dino.metrics.intervals import mean_interval, share_interval

CONDITIONS = (None, *((name, severity) for name in CORRUPTIONS for severity in SEVERITIES))
"""The clean images, then every corruption in every severity."""


@dataclass(frozen=True, kw_only=True)
class Top1:
    """A percentage of the images and its 95 % bootstrap interval."""

    top1: float
    top1_interval: tuple[float, float] | None


@dataclass(frozen=True, kw_only=True)
class RobustnessResult:
    """Top-1 accuracy of the same images, clean and corrupted."""

    clean: Top1
    corruptions: dict[str, dict[int, Top1]]
    """The accuracy for each corruption and severity."""
    mean: Top1
    """The mean over all corruptions and severities; its interval is over images."""
    relative_drop: float | None
    """The drop of the accuracy from clean to mean, in percent of clean; None if clean is 0."""


class CorruptedImages:
    """The scored test images: all of them clean, then all in each corruption and severity.

    They are corrupted as they are stored, before anybody resizes or crops them.
    """

    def __init__(self, dataset: PreparedDataset, config: RobustnessConfig) -> None:
        indices = dataset.labelled_indices("test")
        count = min(config.images, len(indices))
        self.dataset = dataset
        self.indices: Int64[np.ndarray, " images"] = indices[
            np.arange(count) * len(indices) // count
        ]
        """The rows of at most `config.images` images, spread evenly over the split."""
        self._seed = config.seed

    def __len__(self) -> int:
        return len(CONDITIONS) * len(self.indices)

    def __getitem__(self, row: int) -> Image.Image:
        condition, image = divmod(row, len(self.indices))
        index = int(self.indices[image])
        clean = self.dataset.image(index)
        chosen = CONDITIONS[condition]
        return clean if chosen is None else corrupted(clean, *chosen, self._seed, index)


@torch.no_grad()
def robustness_of_features(
    features: Float[Tensor, "queries dim"],
    images: CorruptedImages,
    clean: Float[Tensor, "images dim"],
    config: RobustnessConfig,
) -> RobustnessResult:
    """The accuracies of `features`, those of `images` in their order.

    The bank is the training images' part of `clean`, the features of the whole data set. Raises
    `DataError` for an image without a label.
    """
    dataset, scored = images.dataset, images.indices
    labels = dataset.manifest["label"].to_numpy(dtype=np.int64)
    train = dataset.labelled_indices("train")
    similarities, nearest = nearest_neighbours(
        clean[torch.from_numpy(train)], features, config.neighbours
    )
    votes = class_votes(
        similarities,
        torch.from_numpy(labels[train])[nearest],
        config.temperature,
        len(dataset.classes),
    )
    truth = np.tile(labels[scored], len(CONDITIONS))
    right = (rank_of_label(votes.numpy(), truth) == 0).reshape(len(CONDITIONS), -1)
    return _result(right)


def robustness_scores(model: str, result: RobustnessResult, images: int) -> list[Score]:
    """The accuracies of `images` images: the mean over corruptions, clean, and each condition.

    corruption=mean is over all corruptions and severities.
    """
    mean = setting(corruption="mean")
    accuracies = [
        (mean, result.mean, "robustness_top1"),
        (setting(corruption="none"), result.clean, "robustness_clean_top1"),
        *(
            (setting(corruption=corruption, severity=severity), found, "")
            for corruption, by_severity in result.corruptions.items()
            for severity, found in by_severity.items()
        ),
    ]
    return [
        *(
            Score(
                model=model,
                setting=condition,
                metric="top1",
                value=found.top1,
                n=images,
                key=key,
                **bounds(found.top1_interval),
            )
            for condition, found, key in accuracies
        ),
        Score(
            model=model, setting=mean, metric="relative_drop", value=result.relative_drop, n=images
        ),
    ]


def _result(right: Bool[np.ndarray, "conditions images"]) -> RobustnessResult:
    clean = _top1(right[0])
    of_corruption = right[1:].reshape(len(CORRUPTIONS), len(SEVERITIES), -1)
    # an image's corruptions are no independent images: only images are drawn again
    shares = 100 * right[1:].mean(axis=0)
    mean = float(shares.mean())
    return RobustnessResult(
        clean=clean,
        corruptions={
            name: dict(zip(SEVERITIES, map(_top1, rows), strict=True))
            for name, rows in zip(CORRUPTIONS, of_corruption, strict=True)
        },
        mean=Top1(top1=mean, top1_interval=mean_interval(shares)),
        relative_drop=100 * (clean.top1 - mean) / clean.top1 if clean.top1 else None,
    )


def _top1(right: Bool[np.ndarray, " images"]) -> Top1:
    top1 = 100 * float(right.mean())
    return Top1(top1=top1, top1_interval=share_interval(top1, len(right)))
