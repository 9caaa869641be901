"""Random crops for training a classifier, the same whoever computes them and whenever."""

import math
from collections.abc import Iterator

import numpy as np
from jaxtyping import Int64, UInt8
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset, Sampler
from torchvision.transforms.functional import pil_to_tensor

from dino.core.seeding import Purpose, stream
from dino.data.crops import random_box
from dino.data.dataset import PreparedDataset

_NUMBERS = 22
"""How many random numbers decide a box."""


class ResizedCrops(Dataset[tuple[Tensor, int]]):
    """One crop of an image and the image's index; an item is asked for by (epoch, image).

    A random box is resized (bilinear, Pillow's antialiased one) and flipped at random: the
    reference's eval_linear.py.
    """

    def __init__(
        self,
        dataset: PreparedDataset,
        *,
        size_px: int,
        scale: tuple[float, float],
        flip_probability: float,
        seed: int,
    ) -> None:
        self._dataset = dataset
        self._size_px = size_px
        self._scale = scale
        self._flip_probability = flip_probability
        self._seed = seed

    def __getitem__(self, key: tuple[int, int]) -> tuple[UInt8[Tensor, "3 px px"], int]:
        epoch, index = key
        image = self._dataset.image(index)
        rng = stream(Purpose.LINEAR_PAPER_CROPS, self._seed, epoch, index)
        numbers = rng.random(_NUMBERS + 1).tolist()
        left, top, width, height = random_box(image.size, self._scale, numbers[:_NUMBERS])
        size_px = (self._size_px, self._size_px)
        crop = image.crop((left, top, left + width, top + height))
        crop = crop.resize(size_px, Image.Resampling.BILINEAR)
        if numbers[_NUMBERS] < self._flip_probability:
            crop = crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        return pil_to_tensor(crop.convert("RGB")), index


class ShuffledBatches(Sampler[list[tuple[int, int]]]):
    """All images once, in an order that depends on (seed, epoch); the last batch may be smaller."""

    def __init__(self, images: Int64[np.ndarray, " images"], batch_size: int, seed: int) -> None:
        self._images = images
        self._batch_size = batch_size
        self._seed = seed
        self.epoch = 1

    def __len__(self) -> int:
        """Batches in an epoch."""
        return math.ceil(len(self._images) / self._batch_size)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        rng = stream(Purpose.LINEAR_PAPER_ORDER, self._seed, self.epoch)
        order = rng.permutation(self._images).tolist()
        for start in range(0, len(order), self._batch_size):
            yield [(self.epoch, image) for image in order[start : start + self._batch_size]]
