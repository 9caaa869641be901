"""Baselines without training: raw pixels, a centred box, Otsu's threshold."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float32, Float64, UInt8
from PIL import Image
from skimage.filters import threshold_otsu
from torch import Tensor

from dino.core.configuration.attention import AttentionConfig
from dino.core.configuration.robustness import RobustnessConfig
from dino.core.score import Score, bounds
from dino.data.dataset import PreparedDataset
from dino.evaluation.corrupted_images import (
    CorruptedImages,
    RobustnessResult,
    robustness_of_features,
)
from dino.evaluation.masked_images import (
    NO_MASKS,
    NO_TRAINING_MASKS,
    MaskedImages,
    scored_images,
)
from dino.features.preprocessing import centre_crop
from dino.metrics.intervals import mean_interval
from dino.metrics.jaccard import object_jaccards

RAW_SIDE_PX = 32


@dataclass(frozen=True, kw_only=True)
class CentreBoxResult:
    """A centred square box, scored on the images and objects of `attention`."""

    jaccard: float | None
    """The Jaccard index in percent; None if it could not be measured."""
    interval: tuple[float, float] | None
    """Its 95 % bootstrap interval over images."""
    area_share: float | None
    """Share of the image that the box covers."""
    reason: str | None


@dataclass(frozen=True, kw_only=True)
class OtsuResult:
    """Otsu's threshold, scored on the images and objects of `attention`."""

    jaccard: float | None
    """The Jaccard index in percent; None if it could not be measured."""
    interval: tuple[float, float] | None
    """Its 95 % bootstrap interval over images."""
    reason: str | None


def raw_pixels(dataset: PreparedDataset) -> Float32[Tensor, "images dim"]:
    """The pixels of each image as one feature, 0 to 1, neither centred nor standardised.

    Images that all have one size of at most 32 px keep their size and channels; others become
    the grey central square of 32 px (short side resized, bicubic).
    """
    small = _are_small(dataset)
    first = _pixels(dataset.image(0), small)
    pixels = np.empty((len(dataset), first.size), dtype=np.float32)
    for index in range(len(dataset)):
        pixels[index] = _pixels(dataset.image(index), small)
    return torch.from_numpy(pixels)


def raw_pixel_robustness(
    clean: Float32[Tensor, "images dim"], images: CorruptedImages, config: RobustnessConfig
) -> RobustnessResult:
    """The accuracies of corrupted images by their `raw_pixels`; `clean`: those of all images."""
    small = _are_small(images.dataset)
    pixels = np.empty((len(images), clean.shape[1]), dtype=np.float32)
    for row in range(len(images)):
        pixels[row] = _pixels(images[row], small)
    return robustness_of_features(torch.from_numpy(pixels), images, clean, config)


def _are_small(dataset: PreparedDataset) -> bool:
    sizes = dataset.manifest[["width_px", "height_px"]].to_numpy()
    return bool((sizes == sizes[0]).all()) and int(sizes.max()) <= RAW_SIDE_PX


def _pixels(image: Image.Image, small: bool) -> Float32[np.ndarray, " dim"]:
    if not small:
        image = centre_crop(image.convert("L"), RAW_SIDE_PX, RAW_SIDE_PX)
    return np.asarray(image, dtype=np.float32).ravel() / 255


def centre_box(dataset: PreparedDataset, config: AttentionConfig) -> CentreBoxResult:
    """A centred box whose share of the area is the mean share of the foreground in train."""
    images = scored_images(dataset, config)
    share = _mean_foreground_share(dataset)
    if len(images) == 0 or share is None:
        reason = NO_MASKS if len(images) == 0 else NO_TRAINING_MASKS
        return CentreBoxResult(jaccard=None, interval=None, area_share=share, reason=reason)
    box = box_mask(share, config.image_size_px)
    scores = _jaccards(images, lambda _: box)
    return CentreBoxResult(
        jaccard=float(scores.mean()), interval=mean_interval(scores), area_share=share, reason=None
    )


def mask_scores(model: str, result: CentreBoxResult | OtsuResult, images: int) -> list[Score]:
    """The Jaccard index over `images` images; its value is None where there is no number."""
    return [
        Score(
            model=model,
            metric="jaccard",
            value=result.jaccard,
            n=images,
            key="attention_jaccard",
            **bounds(result.interval),
        )
    ]


def mask_details(result: CentreBoxResult | OtsuResult) -> dict[str, Any]:
    """What `result` holds besides its score: the reason of none, and of a box its area."""
    details = asdict(result)
    return {name: details[name] for name in details if name not in ("jaccard", "interval")}


def _jaccards(
    images: MaskedImages,
    mask_of: Callable[[UInt8[np.ndarray, "size size 3"]], Bool[np.ndarray, "size size"]],
) -> Float64[np.ndarray, " images"]:
    """The Jaccard index of each image in percent: one mask with each object, their mean."""
    scores = [
        object_jaccards(mask_of(image)[None], truth).mean()
        for pixels, truths in images.batches()
        for image, truth in zip(pixels, truths, strict=True)
    ]
    return 100 * np.array(scores)


def box_mask(area_share: float, size_px: int) -> Bool[np.ndarray, "size size"]:
    """True on a centred square that covers `area_share` of the image, to the nearest pixel."""
    side_px = round(size_px * area_share**0.5)
    start = (size_px - side_px) // 2
    mask = np.zeros((size_px, size_px), dtype=bool)
    mask[start : start + side_px, start : start + side_px] = True
    return mask


def _mean_foreground_share(dataset: PreparedDataset) -> float | None:
    masks = (dataset.mask(int(index)) for index in dataset.indices("train"))
    shares = [mask.mean() for mask in masks if mask is not None]
    return float(np.mean(shares)) if shares else None


def otsu(dataset: PreparedDataset, config: AttentionConfig) -> OtsuResult:
    """Otsu's threshold on the grey image."""
    images = scored_images(dataset, config)
    if len(images) == 0:
        return OtsuResult(jaccard=None, interval=None, reason=NO_MASKS)
    scores = _jaccards(images, otsu_mask)
    return OtsuResult(jaccard=float(scores.mean()), interval=mean_interval(scores), reason=None)


def otsu_mask(pixels: UInt8[np.ndarray, "height width 3"]) -> Bool[np.ndarray, "height width"]:
    """True on the side of Otsu's threshold that touches the image's border less.

    When both touch it equally the brighter side is the object.
    """
    grey = np.asarray(Image.fromarray(pixels).convert("L"))
    bright = grey > threshold_otsu(grey)
    edges = (bright[0], bright[-1], bright[1:-1, 0], bright[1:-1, -1])
    border = np.concatenate(edges)
    return ~bright if border.mean() > 0.5 else bright
