"""Five corruptions of images in three severities, after ImageNet-C (Hendrycks & Dietterich 2019).

ImageNet-C has fifteen corruptions in five severities for images of 224 px. Noise, contrast,
pixelate and JPEG have the numbers of its severities 1, 3 and 5, which say nothing of the image's
size: a level, or a share of the pixels of each side, changes as much whatever the size. What they
hide is coarser the smaller an image is, as JPEG's blocks have 8 px and pixelate leaves 7 of 28 px
at its severest. A blur in pixels would be nothing on a large image or all of a small one, so its
numbers are shares of the short side: 0.4, 0.8 and 1.7 px at 28 px; 3.4, 6.7 and 13.4 px at 224 px,
where ImageNet-C has 1, 3 and 6 px.
"""

import io
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageFilter

from dino.core.seeding import Purpose, stream

SEVERITIES = (1, 2, 3)
STRENGTHS = {
    "noise": (0.08, 0.18, 0.38),
    "blur": (0.015, 0.03, 0.06),
    "contrast": (0.4, 0.2, 0.05),
    "pixelate": (0.6, 0.4, 0.25),
    "jpeg": (25.0, 15.0, 7.0),
}
"""The strength of each severity: the noise's deviation (white is 1), the blur's deviation (a share
of the short side), the contrast that is left, the share of each side's pixels that is left, JPEG's
quality."""
CORRUPTIONS = tuple(STRENGTHS)


def corrupted(
    image: Image.Image, corruption: str, severity: int, seed: int, index: int
) -> Image.Image:
    """`image` (mode "L" or "RGB") with a corruption of 1 (mild) to 3 (severe), in the same mode.

    The noise depends on (seed, severity, index) alone; the other corruptions draw nothing.
    """
    strength = STRENGTHS[corruption][severity - 1]
    if corruption == "noise":
        return _noise(image, strength, stream(Purpose.CORRUPTION, seed, severity, index))
    return _OPERATIONS[corruption](image, strength)


def _noise(image: Image.Image, deviation: float, rng: np.random.Generator) -> Image.Image:
    pixels = np.asarray(image) / 255
    return _image(pixels + deviation * rng.standard_normal(pixels.shape))


def _blur(image: Image.Image, share: float) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(share * min(image.size)))


def _contrast(image: Image.Image, factor: float) -> Image.Image:
    pixels = np.asarray(image) / 255
    means = pixels.mean(axis=(0, 1), keepdims=True)
    return _image(means + factor * (pixels - means))


def _pixelate(image: Image.Image, share: float) -> Image.Image:
    width, height = image.size
    small = (max(1, int(share * width)), max(1, int(share * height)))
    return image.resize(small, Image.Resampling.BOX).resize(image.size, Image.Resampling.BOX)


def _jpeg(image: Image.Image, quality: float) -> Image.Image:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=int(quality))
    compressed = Image.open(stream)
    compressed.load()
    return compressed


def _image(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray((255 * pixels.clip(0, 1)).round().astype(np.uint8))


_OPERATIONS: dict[str, Callable[[Image.Image, float], Image.Image]] = {
    "blur": _blur,
    "contrast": _contrast,
    "pixelate": _pixelate,
    "jpeg": _jpeg,
}
