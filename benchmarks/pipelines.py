"""From image files to batches of crops: as `dino pretrain` reads them, and as the textbook does."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from benchmarks.textbook.data import crop_loader as textbook_loader
from dino.core.configuration.pretrain import CropsConfig
from dino.data.dataset import PreparedDataset
from dino.data.loader import CropDataset, EpochBatches, crop_loader
from dino.data.normalisation import normalised

SEED = 0


def our_batches(
    dataset: PreparedDataset, config: CropsConfig, batch_size: int, workers: int
) -> Iterator[list[Tensor]]:
    """One epoch of batches, one byte a channel: the training step normalises."""
    batches = EpochBatches(dataset.indices("train"), batch_size, SEED)
    for batch in crop_loader(CropDataset(dataset, config, SEED), batches, workers):
        yield batch.crops


def textbook_batches(
    files: Sequence[bytes], config: CropsConfig, batch_size: int, workers: int
) -> Iterator[list[Tensor]]:
    """One epoch of batches of normalised crops."""
    # imported late: a comparison of training steps alone needs no augmentation
    from benchmarks.textbook.augmentation import MultiCrop

    torch.manual_seed(SEED)
    yield from textbook_loader(files, MultiCrop(config), batch_size, workers)


def normalised_crops(crops: Sequence[Tensor]) -> list[Tensor]:
    """Our crops as the networks take them."""
    return [normalised(crop) for crop in crops]
