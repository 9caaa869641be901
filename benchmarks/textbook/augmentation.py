"""Multi-crop augmentation with the framework's transforms on Pillow images."""

import random

from PIL import Image, ImageFilter, ImageOps
from torch import Tensor
from torchvision import transforms
from torchvision.transforms import InterpolationMode

from dino.core.configuration.pretrain import CropsConfig
from dino.data.normalisation import IMAGENET_MEAN, IMAGENET_STD

SOLARIZE_THRESHOLD = 128


class GaussianBlur:
    """Pillow's blur with a random radius, applied with a probability."""

    def __init__(self, probability: float, radius_px: tuple[float, float]) -> None:
        self.probability = probability
        self.radius_px = radius_px

    def __call__(self, image: Image.Image) -> Image.Image:
        if random.random() >= self.probability:
            return image
        return image.filter(ImageFilter.GaussianBlur(random.uniform(*self.radius_px)))


class Solarization:
    """Pillow's inversion of the bright pixels, applied with a probability."""

    def __init__(self, probability: float) -> None:
        self.probability = probability

    def __call__(self, image: Image.Image) -> Image.Image:
        if random.random() >= self.probability:
            return image
        return ImageOps.solarize(image, SOLARIZE_THRESHOLD)


class MultiCrop:
    """An image to normalised crops: the two global ones, then the local ones."""

    def __init__(self, config: CropsConfig) -> None:
        first, second, local = config.blur_probability
        solarize = config.solarize_probability
        self.transforms = [
            _transform(config, 0, first, 0.0),
            _transform(config, 0, second, solarize),
        ]
        self.transforms += [_transform(config, 1, local, 0.0)] * config.local_crops

    def __call__(self, image: Image.Image) -> list[Tensor]:
        return [transform(image) for transform in self.transforms]


def _transform(config: CropsConfig, local: int, blur: float, solarize: float) -> transforms.Compose:
    size_px = (config.global_size_px, config.local_size_px)[local]
    scale = (config.global_scale, config.local_scale)[local]
    jitter = transforms.ColorJitter(
        config.brightness, config.contrast, config.saturation, config.hue
    )
    return transforms.Compose(
        [
            transforms.RandomResizedCrop(
                size_px, scale=scale, interpolation=InterpolationMode.BICUBIC
            ),
            transforms.RandomHorizontalFlip(config.flip_probability),
            transforms.RandomApply([jitter], p=config.jitter_probability),
            transforms.RandomGrayscale(config.grey_probability),
            GaussianBlur(blur, config.blur_radius_px),
            Solarization(solarize),
            transforms.ToTensor(),
            transforms.Normalize(IMAGENET_MEAN, IMAGENET_STD),
        ]
    )
