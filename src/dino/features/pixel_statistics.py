"""Networks that were trained on pixels of another mean and spread than the project's."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dino.data.normalisation import IMAGENET_MEAN, IMAGENET_STD
from dino.model.timm_folder import PixelStatistics, pixels_of


class PixelConversion:
    """From images of the project's normalisation to those of a network's own."""

    def __init__(
        self,
        own: PixelStatistics,
    ) -> None:
        self._factors: tuple[Tensor, Tensor] | None = None
        """Scale and shift; None where the two normalisations are equal."""
        if own.mean != IMAGENET_MEAN or own.std != IMAGENET_STD:
            own_mean, own_std, mean, std = (
                torch.tensor(values, dtype=torch.float64).view(-1, 1, 1)
                for values in (own.mean, own.std, IMAGENET_MEAN, IMAGENET_STD)
            )
            # (x - mean) / std of its own is x_project * scale + shift
            self._factors = (std / own_std).float(), ((mean - own_mean) / own_std).float()

    def __call__(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch 3 height width"]:
        """The images, normalised as the network was trained on them."""
        if self._factors is None:
            return images
        scale, shift = (factor.to(images.device) for factor in self._factors)
        return images * scale + shift


def see_as_trained(network: nn.Module) -> nn.Module:
    """`network`, whose calls take images of the project's normalisation from now on.

    Its `pretrained_cfg` says what it was trained to see. State and names stay as they are.
    """
    conversion = PixelConversion(pixels_of(network.pretrained_cfg))  # type: ignore[arg-type]

    def convert(_: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        return conversion(arguments[0]), *arguments[1:]

    network.register_forward_pre_hook(convert)
    return network
