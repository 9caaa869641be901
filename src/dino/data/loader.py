"""Batches of crops, the same whoever computes them and whenever."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from dino.core.configuration.pretrain import CropsConfig
from dino.core.seeding import stream
from dino.data.crops import MultiCrop
from dino.data.dataset import PreparedDataset
from dino.data.normalisation import normalised

# first words of the random streams' keys, so that no two purposes share one
_ORDER, _AUGMENTATION = 0, 1


@dataclass(frozen=True)
class CropBatch:
    """The crops of a batch of images, one byte a channel."""

    global_crops: UInt8[Tensor, "2 batch px px channels"]
    local_crops: UInt8[Tensor, "local_crops batch px2 px2 channels"]
    images: Int64[Tensor, " batch"]
    """The images' indices in the manifest."""

    def normalised(self, device: torch.device) -> list[Float[Tensor, "batch 3 _px _px"]]:
        """The crops as the networks take them, the global ones first."""
        return [
            crop
            for crops in (self.global_crops, self.local_crops)
            for crop in normalised(crops.to(device, non_blocking=True).movedim(-1, -3))
        ]


class CropDataset(Dataset[Any]):
    """The augmented images of an epoch; an item is asked for by (epoch, image)."""

    def __init__(self, dataset: PreparedDataset, config: CropsConfig, seed: int) -> None:
        self.dataset = dataset
        self.multi_crop = MultiCrop(config)
        self.seed = seed

    def __getitem__(self, key: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, int]:
        epoch, image = key
        rng = stream(_AUGMENTATION, self.seed, epoch, image)
        return *self.multi_crop(self.dataset.image(image), rng), image


class EpochBatches(Sampler[list[tuple[int, int]]]):
    """The order of the images in one epoch after the other; the incomplete last batch is left out.

    An epoch's order depends on (seed, epoch) alone, so a resumed run continues in the middle.
    """

    def __init__(self, images: Int64[np.ndarray, " images"], batch_size: int, seed: int) -> None:
        self.images = images
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = 0
        self.first_batch = 0

    def __len__(self) -> int:
        """Batches in a whole epoch."""
        return len(self.images) // self.batch_size

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        order = stream(_ORDER, self.seed, self.epoch).permutation(self.images)
        for batch in range(self.first_batch, len(self)):
            chosen = order[batch * self.batch_size : (batch + 1) * self.batch_size]
            yield [(self.epoch, int(image)) for image in chosen]


def crop_loader(crops: CropDataset, batches: EpochBatches, workers: int) -> "DataLoader[Any]":
    """A loader of `CropBatch`; with workers they are made ahead of time in other processes."""
    return DataLoader(
        crops,
        batch_sampler=batches,
        num_workers=workers,
        collate_fn=_collate,
        persistent_workers=False,
        prefetch_factor=4 if workers else None,
        multiprocessing_context="fork" if workers else None,
    )


def _collate(items: list[tuple[np.ndarray, np.ndarray, int]]) -> CropBatch:
    global_crops, local_crops, images = zip(*items, strict=True)
    return CropBatch(
        torch.from_numpy(np.stack(global_crops, axis=1)),
        torch.from_numpy(np.stack(local_crops, axis=1)),
        torch.tensor(images),
    )
