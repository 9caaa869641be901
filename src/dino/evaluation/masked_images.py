"""The images that segmentations are scored on: the same, at the same size, for every method."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Int64, UInt8
from PIL import Image

from dino.core.configuration.attention import AttentionConfig
from dino.data.dataset import PreparedDataset, Split
from dino.metrics.jaccard import VOID

SPLIT: Split = "test"
SELECTION_SPLIT: Split = "train"
NO_MASKS = "no test image has a mask"
NO_TRAINING_MASKS = "no training image has a mask"
_BATCH_PIXELS = 2**21
"""Pixels in a batch: 9 images of 480 px, so that attention over their patches stays small."""
_LARGEST_BATCH = 64


@dataclass(frozen=True, kw_only=True)
class MaskedImages:
    """Images of a data set whose objects are known, resized to squares."""

    dataset: PreparedDataset
    indices: Int64[np.ndarray, " images"]
    config: AttentionConfig

    def __len__(self) -> int:
        return len(self.indices)

    def batches(
        self,
    ) -> Iterator[
        tuple[UInt8[np.ndarray, "batch size size 3"], UInt8[np.ndarray, "batch size size"]]
    ]:
        """RGB pixels (bicubic) and truth (nearest): 0 background, objects from 1, 255 void.

        As the protocol has them: foreground is one object, and void may be background.
        """
        size = min(_LARGEST_BATCH, max(1, _BATCH_PIXELS // self.config.image_size_px**2))
        for start in range(0, len(self.indices), size):
            pairs = [self._pair(index) for index in self.indices[start : start + size].tolist()]
            yield (
                np.stack([pixels for pixels, _ in pairs]),
                np.stack([truth for _, truth in pairs]),
            )

    def of_each_class(self, count: int) -> "MaskedImages":
        """The first `count` images in turns: the first of each class, then the second, …"""
        labels = self.dataset.manifest["label"].to_numpy()[self.indices]
        turns = np.zeros(len(labels), dtype=np.int64)
        for label in np.unique(labels):
            of_class = labels == label
            turns[of_class] = np.arange(of_class.sum())
        return replace(self, indices=self.indices[np.lexsort((labels, turns))[:count]])

    def _pair(
        self, index: int
    ) -> tuple[UInt8[np.ndarray, "size size 3"], UInt8[np.ndarray, "size size"]]:
        side = (self.config.image_size_px, self.config.image_size_px)
        image = self.dataset.image(index).convert("RGB")
        objects = self.dataset.objects(index)
        if objects is None:
            objects = np.zeros((image.height, image.width), dtype=np.uint8)
        truth = np.array(Image.fromarray(objects).resize(side, Image.Resampling.NEAREST))
        void = truth == VOID
        if self.config.objects == "foreground":
            truth[truth > 0] = 1
        truth[void] = VOID if self.config.void == "ignore" else 0
        return np.asarray(image.resize(side, Image.Resampling.BICUBIC)), truth


def scored_images(dataset: PreparedDataset, config: AttentionConfig) -> MaskedImages:
    """The test images that have a mask, at most `config.images`, spread evenly over the split."""
    return _spread(dataset, config, SPLIT, config.images)


def selection_images(dataset: PreparedDataset, config: AttentionConfig) -> MaskedImages:
    """The training images with a mask that a head is chosen on, spread evenly over the split."""
    return _spread(dataset, config, SELECTION_SPLIT, config.selection_images)


def unmasked_images(dataset: PreparedDataset, config: AttentionConfig) -> MaskedImages:
    """Test images to look at where none has a mask: their truth is empty."""
    return _spread(dataset, config, SPLIT, config.images, masked=False)


def _spread(
    dataset: PreparedDataset, config: AttentionConfig, split: Split, most: int, masked: bool = True
) -> MaskedImages:
    indices = dataset.indices(split)
    indices = indices[dataset.manifest["has_mask"].to_numpy(dtype=bool)[indices] == masked]
    count = min(most, len(indices))
    chosen = np.arange(count) * len(indices) // max(count, 1)
    return MaskedImages(dataset=dataset, indices=indices[chosen], config=config)
