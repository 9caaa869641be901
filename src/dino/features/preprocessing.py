"""From an image to what a frozen backbone sees: the reference's evaluation transform."""

from jaxtyping import UInt8
from PIL import Image
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.functional import center_crop, pil_to_tensor, resize


def centre_crop_pixels(
    image: Image.Image, resize_px: int, crop_px: int
) -> UInt8[Tensor, "3 crop crop"]:
    """The central square of `crop_px` after a bicubic resize of the short side to `resize_px`.

    Pillow's (antialiased) bicubic, as the reference. A grey image gets three equal channels.
    """
    resized = resize(image.convert("RGB"), [resize_px], InterpolationMode.BICUBIC)
    return pil_to_tensor(center_crop(resized, [crop_px, crop_px]))
