"""From an image to what a frozen backbone sees: the reference's evaluation transform."""

import torch
from jaxtyping import Float, UInt8
from PIL import Image
from timm.data.constants import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
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


def normalised(
    pixels: UInt8[Tensor, "batch 3 height width"],
) -> Float[Tensor, "batch 3 height width"]:
    """Pixels of 0 to 255 as the numbers that a backbone expects: ImageNet's mean and deviation."""
    mean = torch.tensor(IMAGENET_DEFAULT_MEAN, device=pixels.device).view(3, 1, 1)
    deviation = torch.tensor(IMAGENET_DEFAULT_STD, device=pixels.device).view(3, 1, 1)
    return (pixels.float() / 255 - mean) / deviation
