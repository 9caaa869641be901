"""The images that segmentations are scored on: the same, at the same size, for every method."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Int64, UInt8
from PIL import Image

from dino.core.configuration.attention import AttentionConfig
from dino.data.dataset import PreparedDataset, Split

SPLIT: Split = "test"
NO_MASKS = "no test image has a mask"
_BATCH_PIXELS = 2**21
"""Pixels in a batch: 9 images of 480 px, so that attention over their patches stays small."""
_LARGEST_BATCH = 64


@dataclass(frozen=True, kw_only=True)
class MaskedImages:
    """Images of a data set that have a mask of their object, resized to squares."""

    dataset: PreparedDataset
    indices: Int64[np.ndarray, " images"]
    size_px: int

    def __len__(self) -> int:
        return len(self.indices)

    def batches(
        self,
    ) -> Iterator[
        tuple[UInt8[np.ndarray, "batch size size 3"], Bool[np.ndarray, "batch size size"]]
    ]:
        """RGB pixels (bicubic) and masks (nearest), True on the object."""
        size = min(_LARGEST_BATCH, max(1, _BATCH_PIXELS // self.size_px**2))
        for start in range(0, len(self.indices), size):
            pairs = [self._pair(index) for index in self.indices[start : start + size].tolist()]
            yield np.stack([pixels for pixels, _ in pairs]), np.stack([mask for _, mask in pairs])

    def of_each_class(self, count: int) -> "MaskedImages":
        """At most `count` of the images: the first of each class, then the second, and so on."""
        labels = self.dataset.manifest["label"].to_numpy()[self.indices]
        turns = np.zeros(len(labels), dtype=np.int64)
        for label in np.unique(labels):
            of_class = labels == label
            turns[of_class] = np.arange(of_class.sum())
        return replace(self, indices=self.indices[np.lexsort((labels, turns))[:count]])

    def _pair(
        self, index: int
    ) -> tuple[UInt8[np.ndarray, "size size 3"], Bool[np.ndarray, "size size"]]:
        side = (self.size_px, self.size_px)
        image = self.dataset.image(index).convert("RGB").resize(side, Image.Resampling.BICUBIC)
        mask = self.dataset.mask(index)
        assert mask is not None
        resized = Image.fromarray(mask).resize(side, Image.Resampling.NEAREST)
        return np.asarray(image), np.asarray(resized, dtype=bool)


def scored_images(dataset: PreparedDataset, config: AttentionConfig) -> MaskedImages:
    """The test images that have a mask, at most `config.images`, spread evenly over the split."""
    indices = dataset.indices(SPLIT)
    indices = indices[dataset.manifest["has_mask"].to_numpy(dtype=bool)[indices]]
    count = min(config.images, len(indices))
    chosen = np.arange(count) * len(indices) // max(count, 1)
    return MaskedImages(dataset=dataset, indices=indices[chosen], size_px=config.image_size_px)
