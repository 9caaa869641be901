"""The compiled operations against Pillow, byte by byte; tests/parity has the reference's."""

import itertools

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from dino.data.pixels import blur, colour, resampling

CUBE = np.stack(np.meshgrid(*[np.arange(0, 256, 3, dtype=np.uint8)] * 3, indexing="ij"))
"""One colour in 27, the darkest and the brightest among them, as (3, height, width)."""
CUBE = np.ascontiguousarray(CUBE.reshape(3, 86, -1))


@pytest.fixture(params=["RGB", "L"])
def image(request):
    rng = np.random.default_rng(0)
    shape = (61, 83, 3) if request.param == "RGB" else (61, 83)
    return Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8))


def test_planes_are_the_transposed_channels(image):
    pixels = _interleaved(image)
    np.testing.assert_array_equal(resampling.transposed_planes(pixels), pixels.transpose(2, 1, 0))


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("size_px", [7, 28, 96])
def test_resized_crops_are_pillows(image, size_px, flip):
    planes = resampling.transposed_planes(_interleaved(image))
    rng = np.random.default_rng(size_px)
    for _ in range(40):
        width, height = int(rng.integers(1, 84)), int(rng.integers(1, 62))
        left, top = int(rng.integers(0, 84 - width)), int(rng.integers(0, 62 - height))
        # one direction at a time: Pillow chooses the order of the two by the shape
        expected = image.crop((left, top, left + width, top + height))
        for size in ((size_px, height), (size_px, size_px)):
            expected = expected.resize(size, Image.Resampling.BICUBIC)
        if flip:
            expected = ImageOps.mirror(expected)
        actual = np.empty((len(planes), size_px, size_px), np.uint8)
        resampling.resized_crop(planes, left, top, width, height, flip, actual)
        np.testing.assert_array_equal(actual, _planes(expected))


@pytest.mark.parametrize("factor", [0.0, 0.6, 0.77, 1.0, 1.2, 1.4, 3.0])
@pytest.mark.parametrize(
    ("operation", "enhance"),
    [
        (colour.brightness, ImageEnhance.Brightness),
        (colour.contrast, ImageEnhance.Contrast),
        (colour.saturation, ImageEnhance.Color),
    ],
)
def test_colours_move_as_pillows(image, operation, enhance, factor):
    for planes in (CUBE, _planes(image)):
        expected = enhance(_pillow(planes)).enhance(factor)
        actual = planes.copy()
        operation(actual, factor)
        np.testing.assert_array_equal(actual, _planes(expected))


@pytest.mark.parametrize("factor", [-0.5, -0.1, -0.001, 0.0, 0.03, 0.1, 0.5])
def test_hue_turns_as_pillows(factor):
    hue, saturation, value = _pillow(CUBE).convert("HSV").split()
    turned = np.asarray(hue) + np.uint8(int(factor * 255) & 0xFF)
    expected = Image.merge("HSV", (Image.fromarray(turned), saturation, value)).convert("RGB")
    actual = CUBE.copy()
    colour.hue(actual, factor)
    np.testing.assert_array_equal(actual, _planes(expected))


def test_grey_is_pillows():
    actual = CUBE.copy()
    colour.greyscale(actual)
    np.testing.assert_array_equal(actual, _planes(_pillow(CUBE).convert("L").convert("RGB")))


def test_solarized_images_are_pillows(image):
    actual = _planes(image)
    colour.solarize(actual)
    np.testing.assert_array_equal(actual, _planes(ImageOps.solarize(image, 128)))


@pytest.mark.parametrize("radius_px", [0.1, 0.3, 0.63, 1.0, 1.41, 1.7, 2.0, 5.0])
def test_blurs_are_pillows(image, radius_px):
    for size in ((83, 61), (5, 3), (1, 1)):
        small = image.crop((0, 0, *size))
        actual = _planes(small)
        blur.gaussian_blur(actual, radius_px)
        expected = small.filter(ImageFilter.GaussianBlur(radius_px))
        np.testing.assert_array_equal(actual, _planes(expected))


def test_grey_images_change_as_their_three_equal_channels_would():
    grey = np.random.default_rng(0).integers(0, 256, (1, 20, 20), dtype=np.uint8)
    for operation, factor in itertools.product(
        (colour.brightness, colour.contrast, colour.saturation, colour.hue), (0.08, 0.7, 1.3)
    ):
        single, three = grey.copy(), grey.repeat(3, axis=0)
        operation(single, factor)
        operation(three, factor)
        np.testing.assert_array_equal(three, single.repeat(3, axis=0))


def _interleaved(image):
    pixels = np.asarray(image)
    return pixels[..., None] if pixels.ndim == 2 else pixels


def _planes(image):
    return _interleaved(image).transpose(2, 0, 1).copy()


def _pillow(planes):
    pixels = planes.transpose(1, 2, 0)
    return Image.fromarray(pixels[..., 0] if len(planes) == 1 else np.ascontiguousarray(pixels))
