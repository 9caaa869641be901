"""The crops of an image as a whole; tests/parity compares them with the reference's."""

import numpy as np
import pytest
from PIL import Image

from dino.core.configuration.pretrain import CropsConfig
from dino.core.seeding import Purpose, stream
from dino.data.crops import MultiCrop, random_box

NUMBERS = 22


@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("RGB", 3)])
def test_equal_streams_give_equal_crops(mode, channels):
    grey = Image.fromarray(np.arange(28 * 20, dtype=np.uint16).reshape(20, 28).astype(np.uint8))
    image = grey.convert(mode)
    config = CropsConfig(global_size_px=28, local_size_px=14, local_crops=3)
    first, again, other = (MultiCrop(config)(image, _stream(i)) for i in (2, 2, 3))
    assert first[0].shape == (2, channels, 28, 28)
    assert first[1].shape == (3, channels, 14, 14)
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert (first[0] != other[0]).any()


def test_grey_images_have_the_crops_of_their_three_equal_channels():
    pixels = np.random.default_rng(0).integers(0, 256, (30, 40), dtype=np.uint8)
    multi_crop = MultiCrop(CropsConfig(global_size_px=28, local_size_px=14, local_crops=6))
    grey = multi_crop(Image.fromarray(pixels), _stream(5))
    colour = multi_crop(Image.fromarray(pixels).convert("RGB"), _stream(5))
    for single, three in zip(grey, colour, strict=True):
        np.testing.assert_array_equal(three, single.repeat(3, axis=1))


def test_training_without_local_crops_is_possible():
    config = CropsConfig(global_size_px=28, local_size_px=14, local_crops=0)
    _, local_crops = MultiCrop(config)(Image.new("RGB", (30, 40)), _stream(0))
    assert local_crops.shape == (0, 3, 14, 14)


@pytest.mark.parametrize("size_px", [(1, 1), (1, 50), (50, 1), (9, 3), (333, 500)])
def test_boxes_lie_within_the_image(size_px):
    width, height = size_px
    for scale in ((0.05, 0.4), (1.0, 1.0)):
        for i in range(200):
            left, top, w, h = random_box(size_px, scale, _stream(i).random(NUMBERS).tolist())
            assert left >= 0 and top >= 0 and w > 0 and h > 0
            assert left + w <= width and top + h <= height


def test_the_largest_number_still_gives_a_box_within_the_image():
    left, top, w, h = random_box((40, 40), (0.2, 0.4), [np.nextafter(1.0, 0.0)] * NUMBERS)
    assert left + w <= 40 and top + h <= 40


def test_images_in_which_no_box_fits_give_their_centre():
    # a long image: every drawn box is higher than it
    numbers = [1 - 1e-9] * NUMBERS
    assert random_box((100, 10), (1.0, 1.0), numbers) == (43, 0, 13, 10)


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1), (2, 3)])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_extreme_images_have_crops_too(size, mode):
    config = CropsConfig(global_size_px=28, local_size_px=14, local_crops=3)
    image = Image.new(mode, size, 100 if mode == "L" else (100, 50, 20))
    for seed in range(20):
        crops, local = MultiCrop(config)(image, np.random.default_rng(seed))
        assert crops.shape == (2, len(mode), 28, 28)
        assert local.shape == (3, len(mode), 14, 14)


def _stream(image: int) -> np.random.Generator:
    return stream(Purpose.PRETRAIN_CROPS, 0, 0, image)
