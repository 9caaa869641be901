"""Multi-crop augmentation: the reference's operations, drawn for each crop on its own."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from dino.core.configuration.pretrain import CropsConfig
from dino.data.pixels.blur import gaussian_blur
from dino.data.pixels.colour import brightness, contrast, greyscale, hue, saturation, solarize
from dino.data.pixels.resampling import resized_crop, transposed_planes

GLOBAL_CROPS = 2
ASPECT_RATIO = (3 / 4, 4 / 3)
_LOG_RATIO = (math.log(3 / 4), math.log(4 / 3))
JITTER = (brightness, contrast, saturation, hue)
"""Each takes a crop and a factor: 1 changes nothing in the first three, 0 in the last."""
_BOX_TRIALS = 10
_BOX_NUMBERS = 2 * _BOX_TRIALS + 2
_NUMBERS = _BOX_NUMBERS + 14

Box = tuple[int, int, int, int]
"""left, top, width, height in pixels"""


class CropDraw(NamedTuple):
    """The random choices for one crop."""

    box: Box
    flip: bool
    jitter: tuple[tuple[int, float], ...]
    """Indices in `JITTER` and their factors, in the order of their application."""
    grey: bool
    blur_radius_px: float | None
    solarize: bool


class MultiCrop:
    """Two global and several local crops of an image, each augmented on its own."""

    def __init__(self, config: CropsConfig) -> None:
        """Compiles the operations, so that processes forked from this one need not."""
        self.config = config
        self._jitter_ranges = (
            (max(0.0, 1 - config.brightness), 1 + config.brightness),
            (max(0.0, 1 - config.contrast), 1 + config.contrast),
            (max(0.0, 1 - config.saturation), 1 + config.saturation),
            (-config.hue, config.hue),
        )
        for mode in ("L", "RGB"):
            everything = CropDraw((0, 0, 4, 4), True, tuple(enumerate((1.0,) * 4)), True, 1.0, True)
            render(
                _planes(Image.new(mode, (4, 4))), everything, np.empty((len(mode), 4, 4), np.uint8)
            )

    def __call__(
        self, image: Image.Image, rng: np.random.Generator
    ) -> tuple[
        UInt8[np.ndarray, "2 channels global_px global_px"],
        UInt8[np.ndarray, "local_crops channels local_px local_px"],
    ]:
        """Global and local crops, not yet normalised; `image` is in mode "L" or "RGB".

        Every number is drawn from `rng`. Departure: the reference draws blur and solarize from an
        unseeded stream.
        """
        config = self.config
        planes = _planes(image)
        outputs = tuple(
            np.empty((crops, len(planes), side_px, side_px), np.uint8)
            for crops, side_px in (
                (GLOBAL_CROPS, config.global_size_px),
                (config.local_crops, config.local_size_px),
            )
        )
        # one call for all numbers of an image: a call for each would take as long as the pixels
        numbers = rng.random((GLOBAL_CROPS + config.local_crops, _NUMBERS)).tolist()
        for view, output in enumerate(crop for crops in outputs for crop in crops):
            render(planes, self.draw(image.size, view, numbers[view]), output)
        return outputs[0], outputs[1]

    def draw(self, size_px: tuple[int, int], view: int, numbers: Sequence[float]) -> CropDraw:
        """The choices that `numbers` from [0, 1) make for crop `view` of an image of `size_px`.

        `size_px` is (width, height); views 0 and 1 are global. Each number has one meaning,
        whether it is needed or not.
        """
        config = self.config
        scale = config.global_scale if view < GLOBAL_CROPS else config.local_scale
        flip, jitter, grey, blur, radius, solarize = numbers[_BOX_NUMBERS : _BOX_NUMBERS + 6]
        factors, order = numbers[-8:-4], numbers[-4:]
        operations: tuple[tuple[int, float], ...] = ()
        if jitter < config.jitter_probability:
            operations = tuple(
                [
                    (operation, _between(*self._jitter_ranges[operation], factors[operation]))
                    # the order of independent numbers is any permutation, each as likely
                    for operation in sorted(range(len(JITTER)), key=order.__getitem__)
                ]
            )
        return CropDraw(
            box=random_box(size_px, scale, numbers[:_BOX_NUMBERS]),
            flip=flip < config.flip_probability,
            jitter=operations,
            grey=grey < config.grey_probability,
            blur_radius_px=(
                _between(*config.blur_radius_px, radius)
                if blur < config.blur_probability[min(view, GLOBAL_CROPS)]
                else None
            ),
            solarize=view == 1 and solarize < config.solarize_probability,
        )


def render(
    planes: UInt8[np.ndarray, "channels width height"],
    drawn: CropDraw,
    out: UInt8[np.ndarray, "channels px px"],
) -> None:
    """Write the crop that `drawn` describes to `out`."""
    resized_crop(planes, *drawn.box, drawn.flip, out)
    for operation, factor in drawn.jitter:
        JITTER[operation](out, factor)
    if drawn.grey:
        greyscale(out)
    if drawn.blur_radius_px is not None:
        gaussian_blur(out, drawn.blur_radius_px)
    if drawn.solarize:
        solarize(out)


def random_box(
    size_px: tuple[int, int], scale: tuple[float, float], numbers: Sequence[float]
) -> Box:
    """The box that `numbers` from [0, 1) decide in an image of `size_px` (width, height).

    Its share of the area is uniform in `scale`, the logarithm of its aspect ratio uniform in
    log(3/4) … log(4/3); boxes that do not fit are drawn again, at last the centre is taken.
    """
    width, height = size_px
    for trial in range(_BOX_TRIALS):
        area = width * height * _between(*scale, numbers[2 * trial])
        ratio = math.exp(_between(*_LOG_RATIO, numbers[2 * trial + 1]))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            return int(numbers[-2] * (width - w + 1)), int(numbers[-1] * (height - h + 1)), w, h
    ratio = min(max(width / height, ASPECT_RATIO[0]), ASPECT_RATIO[1])
    w, h = min(width, round(height * ratio)), min(height, round(width / ratio))
    return (width - w) // 2, (height - h) // 2, w, h


def _planes(image: Image.Image) -> UInt8[np.ndarray, "channels width height"]:
    pixels = np.asarray(image)
    return transposed_planes(pixels[..., None] if pixels.ndim == 2 else pixels)


def _between(low: float, high: float, number: float) -> float:
    return low + (high - low) * number
