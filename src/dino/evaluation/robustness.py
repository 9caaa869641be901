"""k-NN classification of corrupted images by the frozen features of clean ones."""

from collections.abc import Mapping

from jaxtyping import Float, UInt8
from torch import Tensor
from torch.utils.data import Dataset

from dino.core.configuration.features import FeaturesConfig
from dino.core.configuration.robustness import RobustnessConfig
from dino.evaluation.corrupted_images import (
    CorruptedImages,
    RobustnessResult,
    robustness_of_features,
)
from dino.features.frozen_backbone import FrozenBackbone
from dino.features.global_features import extract_tokens
from dino.features.preprocessing import centre_crop_pixels


def robustness(
    backbones: Mapping[str, FrozenBackbone],
    clean: Mapping[str, Float[Tensor, "images dim"]],
    images: CorruptedImages,
    features: FeaturesConfig,
    config: RobustnessConfig,
) -> dict[str, RobustnessResult]:
    """The accuracies of each of `backbones`, whose features of the whole data set are `clean`."""
    tokens = extract_tokens(backbones, _Crops(images, features), features)
    return {
        name: robustness_of_features(cls_tokens[:, -1], images, clean[name], config)
        for name, (cls_tokens, _) in tokens.items()
    }


class _Crops(Dataset[UInt8[Tensor, "3 crop crop"]]):
    """The images as a backbone sees them."""

    def __init__(self, images: CorruptedImages, config: FeaturesConfig) -> None:
        self._images = images
        self._config = config

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, row: int) -> UInt8[Tensor, "3 crop crop"]:
        return centre_crop_pixels(self._images[row], self._config.resize_px, self._config.crop_px)
