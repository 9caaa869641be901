"""Labelled images for the training of whole networks: a subset, and their usual augmentation."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import Float32, Int64
from PIL import Image, ImageOps
from timm.data import create_transform
from timm.data.auto_augment import posterize as timm_posterize
from torch import Tensor
from torch.utils.data import Dataset

from dino.core.configuration.finetune import FinetuneConfig
from dino.core.errors import ConfigurationError
from dino.core.seeding import Purpose, all_seeded, stream
from dino.data.dataset import PreparedDataset
from dino.data.normalisation import IMAGENET_MEAN, IMAGENET_STD

_LEVEL_BITS = 8


def stratified_subset(
    labels: Int64[np.ndarray, " images"], count: int, seed: int
) -> Int64[np.ndarray, " count"]:
    """The rows of `count` images in which classes keep their proportions, ascending.

    All rows where there are no more. A larger subset of the same seed holds the smaller one.
    """
    order = stream(Purpose.FINETUNE_SUBSET, seed).permutation(len(labels))
    places = np.empty(len(labels))
    for label in np.unique(labels):
        rows = order[labels[order] == label]
        # evenly through the subset, so that any beginning of it has the class's share
        places[rows] = (np.arange(len(rows)) + 0.5) / len(rows)
    return np.sort(order[np.argsort(places[order], kind="stable")][:count])


class AugmentedImages(Dataset[Any]):
    """Augmented and normalised images; an item is asked for by (epoch, image).

    timm's training transform: random resized crop (bicubic), flip, a policy such as RandAugment,
    and random erasing. It draws from global generators, which each item seeds by (seed, epoch,
    image), so that nothing depends on who computes it and when.
    """

    def __init__(self, dataset: PreparedDataset, config: FinetuneConfig) -> None:
        """Raises `ConfigurationError` for a policy that timm cannot read."""
        self.dataset = dataset
        self._seed = config.seed
        try:
            self._transform = create_transform(
                config.crop_px,
                is_training=True,
                scale=config.crop_scale,
                hflip=config.flip_probability,
                color_jitter=0.0,
                auto_augment=config.auto_augment,
                interpolation="bicubic",
                mean=IMAGENET_MEAN,
                std=IMAGENET_STD,
                re_prob=config.erase_probability,
                re_mode="pixel",
            )
        except (AssertionError, ValueError) as error:
            raise ConfigurationError(
                f"finetune.auto_augment: timm cannot read {config.auto_augment!r} ({error}); "
                "expected something like rand-m9-mstd0.5-inc1"
            ) from None
        for operation in _policy_operations(self._transform):
            if operation.aug_fn is timm_posterize:
                operation.aug_fn = _posterize

    def __getitem__(self, key: tuple[int, int]) -> tuple[Float32[Tensor, "3 crop crop"], int]:
        """The image and its index in the manifest."""
        epoch, image = key
        with all_seeded(Purpose.FINETUNE_AUGMENTATION, self._seed, epoch, image):
            return self._transform(self.dataset.image(image).convert("RGB")), image


def _policy_operations(transform: Any) -> Iterator[Any]:
    """The operations of a training transform's policy: of RandAugment, AugMix or AutoAugment."""
    for part in transform.transforms:
        yield from getattr(part, "ops", ())
        for several in getattr(part, "policy", ()):
            yield from several


def _posterize(image: Image.Image, bits: int, **_: Any) -> Image.Image:
    """`image` with so many upper bits of each level; black for 0.

    timm asks for 0 bits at its greatest magnitudes, which recent versions of Pillow refuse.
    """
    if bits >= _LEVEL_BITS:
        return image
    return ImageOps.posterize(image, bits) if bits > 0 else Image.new(image.mode, image.size)


def epoch_batches(
    images: Int64[np.ndarray, " images"], batch_size: int, seed: int, epoch: int
) -> list[list[tuple[int, int]]]:
    """The keys of an epoch's batches; the incomplete last batch is left out."""
    order = stream(Purpose.FINETUNE_ORDER, seed, epoch).permutation(images).tolist()
    whole = len(order) - len(order) % batch_size
    return [
        [(epoch, image) for image in order[start : start + batch_size]]
        for start in range(0, whole, batch_size)
    ]
