"""Features with their images' labels, by split: what classifiers are trained and scored on."""

from dataclasses import dataclass
from typing import get_args

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from dino.core.errors import DataError
from dino.data.dataset import Split, check_labelled


@dataclass(frozen=True, kw_only=True)
class LabelledFeatures:
    """One feature and one class index of each image."""

    features: Float[Tensor, "images dim"]
    labels: Int64[Tensor, " images"]

    def to(self, device: torch.device) -> "LabelledFeatures":
        """A copy on `device`."""
        return LabelledFeatures(features=self.features.to(device), labels=self.labels.to(device))


@dataclass(frozen=True, kw_only=True)
class LabelledSplits:
    """The features and labels for training (train), for choices (val) and for reports (test)."""

    train: LabelledFeatures
    val: LabelledFeatures
    test: LabelledFeatures
    classes: int

    @property
    def images(self) -> dict[str, int]:
        """The number of labelled images of each split."""
        return {name: len(getattr(self, name).labels) for name in get_args(Split)}

    def to(self, device: torch.device) -> "LabelledSplits":
        """A copy on `device`."""
        return LabelledSplits(
            train=self.train.to(device),
            val=self.val.to(device),
            test=self.test.to(device),
            classes=self.classes,
        )


def labelled_splits(
    features: Float[Tensor, "images dim"], manifest: pd.DataFrame, classes: tuple[str, ...]
) -> LabelledSplits:
    """`features`, one row for each row of `manifest`, by split.

    Training images without a label are left out: pretraining uses them, and nothing else can.
    Raises `DataError` for an empty split, a val or test image without a label, and a class without
    a training image.
    """
    splits = {name: _split(features, manifest, name) for name in get_args(Split)}
    counts = torch.bincount(splits["train"].labels, minlength=len(classes)).tolist()
    missing = [name for name, count in zip(classes, counts, strict=True) if count == 0]
    if missing:
        raise DataError(
            "manifest.parquet: expected a training image of every class, "
            f"got none of {', '.join(missing)}; add some, or remove the class, in the source"
        )
    return LabelledSplits(**splits, classes=len(classes))


def _split(
    features: Float[Tensor, "images dim"], manifest: pd.DataFrame, split: Split
) -> LabelledFeatures:
    rows = np.flatnonzero(manifest["split"].to_numpy() == split)
    labels = manifest["label"].to_numpy(dtype=np.int64)[rows]
    if len(rows) == 0:
        raise DataError(f"manifest.parquet: the {split} split is empty; correct its source")
    check_labelled(split, labels)
    rows, labels = rows[labels >= 0], labels[labels >= 0]
    return LabelledFeatures(
        features=features[torch.from_numpy(rows)], labels=torch.from_numpy(labels)
    )
