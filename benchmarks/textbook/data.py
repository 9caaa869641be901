"""Images to batches of crops with the framework's data set and loader."""

import io
from collections.abc import Callable, Sequence
from typing import Any

from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

Augmentation = Callable[[Image.Image], list[Tensor]]


class CropDataset(Dataset[list[Tensor]]):
    """Image files in memory; an item is the list of one image's crops."""

    def __init__(self, files: Sequence[bytes], augmentation: Augmentation) -> None:
        self.files = files
        self.augmentation = augmentation

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> list[Tensor]:
        image = Image.open(io.BytesIO(self.files[index])).convert("RGB")
        return self.augmentation(image)


def crop_loader(
    files: Sequence[bytes], augmentation: Augmentation, batch_size: int, workers: int
) -> "DataLoader[Any]":
    """Batches as lists of crops, each stacked over the images, in random order."""
    return DataLoader(
        CropDataset(files, augmentation),
        batch_size=batch_size,
        shuffle=True,
        drop_last=True,
        num_workers=workers,
    )
