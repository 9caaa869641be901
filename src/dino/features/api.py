"""Features of any images by an exported teacher, for programs of your own.

    from dino.features.api import load_teacher

    teacher = load_teacher("artifacts/vit_micro_7-dino-s0/teacher")
    features = teacher.extract(["one.jpg", "two.png"])

`features` is a numpy array of float32 with one row an image; docs/teachers.md shows more.
"""

import math
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from PIL import Image
from torch import Tensor, nn

from dino.core.artifacts import read_json, sha256_of_file
from dino.core.distributed import cores
from dino.core.errors import CheckpointError, ConfigurationError, DataError
from dino.core.precision import best_device
from dino.data.normalisation import normalised
from dino.features.global_features import tokens_of_last_blocks
from dino.features.preprocessing import centre_crop_pixels
from dino.features.teacher import CONFIG, WEIGHTS, load_backbone
from dino.model.student_teacher import feature_dim

AnyImage = str | Path | Image.Image


class Teacher:
    """A frozen backbone with the preprocessing that belongs to it."""

    def __init__(self, backbone: nn.Module, resize_px: int, crop_px: int, sha256: str) -> None:
        self.resize_px = resize_px
        """The short side of an image is resized to this (bicubic)."""
        self.crop_px = crop_px
        """Side of the central square that the backbone sees."""
        self.sha256 = sha256
        """Of the backbone's weights."""
        self.dim = feature_dim(backbone)
        """How many numbers a feature has."""
        self._device = best_device()
        self._backbone = backbone.to(self._device).eval()

    def extract(
        self, images: AnyImage | Iterable[AnyImage], batch_size: int = 64
    ) -> Float32[np.ndarray, "images dim"]:
        """The feature of each image: the [CLS] token after the final norm, in float32.

        Without a [CLS] token it is the pooled output. Images are paths or PIL's, one or many; grey
        ones get three channels. `batch_size` changes speed alone. Raises `DataError` that names the
        first image which cannot be read.
        """
        if isinstance(images, AnyImage):
            images = [images]
        batches = [np.zeros((0, self.dim), np.float32)]
        with ThreadPoolExecutor(cores()) as threads:
            for batch in _batches(images, batch_size):
                batches.append(self.features(torch.stack(list(threads.map(self.pixels, batch)))))
        return np.concatenate(batches)

    def pixels(self, image: AnyImage) -> UInt8[Tensor, "3 crop crop"]:
        """What the backbone sees of an image, before normalisation.

        Raises `DataError` when it cannot be read.
        """
        try:
            if isinstance(image, Image.Image):
                return centre_crop_pixels(image, self.resize_px, self.crop_px)
            with Image.open(image) as opened:
                return centre_crop_pixels(opened, self.resize_px, self.crop_px)
        except Exception as error:
            # a decoder that meets a damaged file raises anything
            name = getattr(image, "filename", "") if isinstance(image, Image.Image) else image
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise DataError(f"{name or 'an image'}: cannot be read ({reason})") from None

    @torch.no_grad()
    def features(
        self, pixels: UInt8[Tensor, "batch 3 crop crop"]
    ) -> Float32[np.ndarray, "batch dim"]:
        """The features of a batch of what `pixels` gives."""
        images = normalised(pixels.to(self._device))
        cls_tokens, _ = tokens_of_last_blocks(self._backbone, images, 1)
        return cls_tokens[:, 0].float().cpu().numpy()


def load_teacher(
    folder: str | Path, resize_px: int | None = None, crop_px: int | None = None
) -> Teacher:
    """The teacher in an exported folder (config.json and model.safetensors).

    Images are cropped to the size that it was exported for, from a short side that config.json's
    crop_pct says, unless `crop_px` and `resize_px` say otherwise: those of features in params.yaml
    give what the evaluations see. Raises `CheckpointError` for a folder that cannot be used, and
    `ConfigurationError` for sizes that do not fit.
    """
    folder = Path(folder)
    if not (folder / CONFIG).is_file():
        raise CheckpointError(
            f"{folder}: expected an exported teacher with {CONFIG} and {WEIGHTS}; run `dino export`"
        )
    backbone = load_backbone(folder)
    seen = read_json(folder / CONFIG)["pretrained_cfg"]
    crop_px = crop_px or int(seen["input_size"][-1])
    resize_px = resize_px or math.floor(crop_px / seen["crop_pct"])
    if resize_px < crop_px:
        raise ConfigurationError(f"resize_px: expected at least crop_px {crop_px}, got {resize_px}")
    patch_px = getattr(getattr(backbone, "patch_embed", None), "patch_size", None)
    if patch_px is not None and any(crop_px % side_px for side_px in patch_px):
        raise ConfigurationError(
            f"crop_px: expected a multiple of the teacher's patches of {patch_px[0]} px, got "
            f"{crop_px}"
        )
    return Teacher(backbone, resize_px, crop_px, sha256_of_file(folder / WEIGHTS))


def _batches(images: Iterable[AnyImage], size: int) -> Iterator[list[AnyImage]]:
    iterator = iter(images)
    while batch := list(islice(iterator, size)):
        yield batch
