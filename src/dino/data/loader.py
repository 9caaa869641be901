"""Batches of crops, the same whoever computes them and whenever."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from dino.core.configuration.pretrain import CropsConfig
from dino.core.seeding import Purpose, stream
from dino.data.batch_loader import BatchLoader, batch_loader
from dino.data.crops import GLOBAL_CROPS, MultiCrop
from dino.data.dataset import PreparedDataset

_NICENESS = 19


@dataclass(frozen=True)
class CropBatch:
    """The crops of a batch of images, one byte a channel."""

    global_crops: UInt8[Tensor, "2 batch channels px px"]
    local_crops: UInt8[Tensor, "local_crops batch channels px2 px2"]
    images: Int64[Tensor, " batch"]
    """The images' indices in the manifest."""

    @property
    def crops(self) -> list[UInt8[Tensor, "batch channels _px _px"]]:
        """One tensor a crop, the global ones first."""
        return [*self.global_crops, *self.local_crops]

    def pin_memory(self) -> "CropBatch":
        """The batch in memory that a GPU can fetch while the processor goes on."""
        return CropBatch(self.global_crops.pin_memory(), self.local_crops.pin_memory(), self.images)

    def share_memory(self) -> "CropBatch":
        """The batch in memory that another process can read."""
        return CropBatch(
            self.global_crops.share_memory_(),
            self.local_crops.share_memory_(),
            self.images.share_memory_(),
        )


class CropDataset(Dataset[Any]):
    """The augmented images of an epoch; an item is asked for by (epoch, image)."""

    def __init__(self, dataset: PreparedDataset, config: CropsConfig, seed: int) -> None:
        self.dataset = dataset
        self.multi_crop = MultiCrop(config)
        self.seed = seed

    def __getitem__(self, key: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, int]:
        epoch, image = key
        rng = stream(Purpose.PRETRAIN_CROPS, self.seed, epoch, image)
        return *self.multi_crop(self.dataset.image(image), rng), image


class EpochBatches(Sampler[list[tuple[int, int]]]):
    """The order of the images in one epoch after the other; the incomplete last batch is left out.

    An epoch's order depends on (seed, epoch) alone, so a resumed run continues in the middle, and
    every one of `world_size` processes takes its part of the same batch.
    """

    def __init__(
        self,
        images: Int64[np.ndarray, " images"],
        batch_size: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        """`batch_size` images, over all processes, are a batch; `world_size` divides it."""
        self.images = images
        self.batch_size = batch_size
        self.seed = seed
        share = batch_size // world_size
        self.share = slice(rank * share, (rank + 1) * share)
        self.epoch = 0
        self.first_batch = 0

    def __len__(self) -> int:
        """Batches in a whole epoch."""
        return len(self.images) // self.batch_size

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        rng = stream(Purpose.PRETRAIN_ORDER, self.seed, self.epoch)
        order = rng.permutation(self.images)
        for batch in range(self.first_batch, len(self)):
            chosen = order[batch * self.batch_size : (batch + 1) * self.batch_size]
            yield [(self.epoch, int(image)) for image in chosen[self.share]]


def crop_loader(
    crops: CropDataset,
    batches: EpochBatches,
    workers: int,
    on_worker_start: Callable[[int], None] | None = None,
) -> BatchLoader:
    """A loader of `CropBatch`; with workers they are made ahead of time in other processes."""
    config = crops.multi_crop.config
    image_bytes = 3 * (
        GLOBAL_CROPS * config.global_size_px**2 + config.local_crops * config.local_size_px**2
    )
    return batch_loader(
        crops,
        batch_bytes=(batches.share.stop - batches.share.start) * image_bytes,
        workers=workers,
        collate=_collate,
        prefetch=4,
        batch_sampler=batches,
        worker_init_fn=partial(_start_worker, on_worker_start),
        multiprocessing_context="fork",
        pin_memory=torch.cuda.is_available(),
    )


def _start_worker(then: Callable[[int], None] | None, worker: int) -> None:
    # on a processor the training step needs every core at its full speed; what it leaves idle
    # between its parts is time enough for crops that are made batches ahead
    os.nice(_NICENESS)
    if then is not None:
        then(worker)


def _collate(items: list[tuple[np.ndarray, np.ndarray, int]]) -> CropBatch:
    global_crops, local_crops, images = zip(*items, strict=True)
    return CropBatch(
        torch.from_numpy(np.stack(global_crops, axis=1)),
        torch.from_numpy(np.stack(local_crops, axis=1)),
        torch.tensor(images),
    )
