"""From bytes to the numbers that the networks take."""

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def normalised(
    pixels: UInt8[Tensor, "*batch channels height width"],
) -> Float[Tensor, "*batch 3 height width"]:
    """`pixels` less ImageNet's mean, over its deviation; a single channel becomes three."""
    mean = torch.tensor(IMAGENET_MEAN, device=pixels.device).view(3, 1, 1)
    std = torch.tensor(IMAGENET_STD, device=pixels.device).view(3, 1, 1)
    return (pixels.float() / 255 - mean) / std
