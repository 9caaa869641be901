"""From an image to what a frozen backbone sees: the reference's evaluation transform."""

from jaxtyping import UInt8
from PIL import Image
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.functional import center_crop, pil_to_tensor, resize

_MAX_RESIZED_PIXELS = 2**24


def centre_crop_pixels(
    image: Image.Image, resize_px: int, crop_px: int
) -> UInt8[Tensor, "3 crop crop"]:
    """The result of `centre_crop` in three channels, which are equal for a grey image."""
    return pil_to_tensor(centre_crop(image.convert("RGB"), resize_px, crop_px))


def centre_crop(image: Image.Image, resize_px: int, crop_px: int) -> Image.Image:
    """The central square of `crop_px` after a bicubic resize of the short side to `resize_px`.

    Pillow's (antialiased) bicubic, as the reference. Of an image so long that it would have more
    than 2²⁴ pixels then, only the square is computed.
    """
    short, long = sorted(image.size)
    if resize_px**2 * long > _MAX_RESIZED_PIXELS * short:
        return _resized_centre(image, resize_px, crop_px)
    resized = resize(image, [resize_px], InterpolationMode.BICUBIC)
    cropped: Image.Image = center_crop(resized, [crop_px, crop_px])
    return cropped


def _resized_centre(image: Image.Image, resize_px: int, crop_px: int) -> Image.Image:
    """The central square alone.

    Pillow chooses by the sizes whether rows or columns come first, and rounds in between, so that
    levels may differ from those of the whole image's square.
    """
    short = min(image.size)
    # as torchvision rounds the sizes and the square's corner
    sides = [int(resize_px * side / short) for side in image.size]
    corner = [round((side - crop_px) / 2) for side in sides]
    scale = [side / resized for side, resized in zip(image.size, sides, strict=True)]
    left, top, right, bottom = (
        (first + size) * step
        for size in (0, crop_px)
        for first, step in zip(corner, scale, strict=True)
    )
    box = (left, top, min(right, image.width), min(bottom, image.height))
    return image.resize((crop_px, crop_px), Image.Resampling.BICUBIC, box=box)
