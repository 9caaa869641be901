import numpy as np
import torch
from PIL import Image

from dino.features.preprocessing import centre_crop_pixels


def _image(height: int, width: int) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, size=(height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def test_the_short_side_is_resized_as_pillow_does_and_the_centre_kept() -> None:
    image = _image(40, 60)
    resized = np.asarray(image.resize((48, 32), Image.Resampling.BICUBIC))
    expected = resized[6:26, 14:34]
    assert np.array_equal(centre_crop_pixels(image, 32, 20).permute(1, 2, 0), expected)


def test_an_image_of_the_right_size_stays_as_it_is() -> None:
    image = _image(28, 28)
    assert np.array_equal(centre_crop_pixels(image, 28, 28).permute(1, 2, 0), np.asarray(image))


def test_grey_images_get_three_equal_channels() -> None:
    pixels = centre_crop_pixels(_image(9, 9).convert("L"), 8, 8)
    assert pixels.shape == (3, 8, 8)
    assert torch.equal(pixels[0], pixels[1])
    assert torch.equal(pixels[0], pixels[2])
