"""Multi-crop augmentation with Pillow, operation by operation as the reference's."""

import math

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from dino.core.configuration.pretrain import CropsConfig

GLOBAL_CROPS = 2
ASPECT_RATIO = (3 / 4, 4 / 3)
SOLARIZE_THRESHOLD = 128
_BOX_TRIALS = 10

Box = tuple[int, int, int, int]
"""left, top, right, bottom in pixels"""


class MultiCrop:
    """Two global and several local crops of an image, each augmented on its own."""

    def __init__(self, config: CropsConfig) -> None:
        self.config = config

    def __call__(
        self, image: Image.Image, rng: np.random.Generator
    ) -> tuple[
        UInt8[np.ndarray, "2 global_px global_px channels"],
        UInt8[np.ndarray, "local_crops local_px local_px channels"],
    ]:
        """Global and local crops, not yet normalised; `image` is in mode "L" or "RGB".

        Every number is drawn from `rng`. Departure: the reference draws blur and solarize from an
        unseeded stream.
        """
        config = self.config
        global_crops = [self._crop(image, rng, view) for view in range(GLOBAL_CROPS)]
        local_crops = [
            self._crop(image, rng, GLOBAL_CROPS + view) for view in range(config.local_crops)
        ]
        channels = len(image.getbands())
        shape = (-1, config.local_size_px, config.local_size_px, channels)
        return (
            np.stack(global_crops),
            np.asarray(local_crops, dtype=np.uint8).reshape(shape),
        )

    def _crop(
        self, image: Image.Image, rng: np.random.Generator, view: int
    ) -> UInt8[np.ndarray, "px px channels"]:
        config = self.config
        is_global = view < GLOBAL_CROPS
        scale = config.global_scale if is_global else config.local_scale
        size_px = config.global_size_px if is_global else config.local_size_px
        crop = resized_crop(image, random_box(image.size, scale, rng), size_px)
        if rng.random() < config.flip_probability:
            crop = ImageOps.mirror(crop)
        if rng.random() < config.jitter_probability:
            crop = color_jitter(crop, config, rng)
        if rng.random() < config.grey_probability and crop.mode != "L":
            crop = crop.convert("L").convert("RGB")
        if rng.random() < config.blur_probability[min(view, GLOBAL_CROPS)]:
            crop = crop.filter(ImageFilter.GaussianBlur(rng.uniform(*config.blur_radius_px)))
        if view == 1 and rng.random() < config.solarize_probability:
            crop = ImageOps.solarize(crop, SOLARIZE_THRESHOLD)
        pixels = np.asarray(crop)
        return pixels[..., None] if pixels.ndim == 2 else pixels


def random_box(
    size_px: tuple[int, int], scale: tuple[float, float], rng: np.random.Generator
) -> Box:
    """A random box in an image of `size_px` (width, height).

    Its share of the area is uniform in `scale`, the logarithm of its aspect ratio uniform in
    log(3/4) … log(4/3); boxes that do not fit are drawn again, at last the centre is taken.
    """
    width, height = size_px
    low, high = (math.log(ratio) for ratio in ASPECT_RATIO)
    for _ in range(_BOX_TRIALS):
        area = width * height * rng.uniform(*scale)
        ratio = math.exp(rng.uniform(low, high))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            left = int(rng.integers(0, width - w + 1))
            top = int(rng.integers(0, height - h + 1))
            return left, top, left + w, top + h
    ratio = min(max(width / height, ASPECT_RATIO[0]), ASPECT_RATIO[1])
    w, h = min(width, round(height * ratio)), min(height, round(width / ratio))
    left, top = (width - w) // 2, (height - h) // 2
    return left, top, left + w, top + h


def resized_crop(image: Image.Image, box: Box, size_px: int) -> Image.Image:
    """The part of `image` in `box`, resized to a square (bicubic, antialiased)."""
    return image.crop(box).resize((size_px, size_px), Image.Resampling.BICUBIC)


def color_jitter(image: Image.Image, config: CropsConfig, rng: np.random.Generator) -> Image.Image:
    """Brightness, contrast, saturation and hue moved by random factors in a random order."""
    factors = (
        rng.uniform(max(0, 1 - config.brightness), 1 + config.brightness),
        rng.uniform(max(0, 1 - config.contrast), 1 + config.contrast),
        rng.uniform(max(0, 1 - config.saturation), 1 + config.saturation),
        rng.uniform(-config.hue, config.hue),
    )
    for operation in rng.permutation(len(factors)):
        image = jittered(image, int(operation), factors[operation])
    return image


def jittered(image: Image.Image, operation: int, factor: float) -> Image.Image:
    """`image` with one property moved: 0 brightness, 1 contrast, 2 saturation, 3 hue.

    The first three multiply (1 leaves as it is), hue adds a share of the colour circle. Grey
    images have neither saturation nor hue.
    """
    if operation == 0:
        return ImageEnhance.Brightness(image).enhance(factor)
    if operation == 1:
        return ImageEnhance.Contrast(image).enhance(factor)
    if image.mode == "L":
        return image
    if operation == 2:
        return ImageEnhance.Color(image).enhance(factor)
    hue, saturation, value = image.convert("HSV").split()
    # the circle has 256 steps and wraps around
    shifted = np.asarray(hue) + np.uint8(int(factor * 255) & 0xFF)
    return Image.merge("HSV", (Image.fromarray(shifted), saturation, value)).convert("RGB")
