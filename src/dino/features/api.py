"""Features of any images by an exported teacher, for programs of your own.

    from dino.features.api import load_teacher

    teacher = load_teacher("artifacts/vit_micro_7-dino-s0/teacher")
    features = teacher.extract(["one.jpg", "two.png"])

`features` is a numpy array of float32 with one row an image; docs/teachers.md shows more.
"""

import math
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32, Shaped, UInt8
from PIL import Image
from torch import Tensor

from dino.core.distributed import cores
from dino.core.errors import CheckpointError, ConfigurationError, DataError
from dino.core.file_names import on_one_line
from dino.core.precision import best_device
from dino.data.decoding import UnreadableImageError, decoded, image_of_array, in_known_mode
from dino.data.normalisation import normalised
from dino.features.frozen_backbone import FrozenBackbone
from dino.features.global_features import ensure_finite_features
from dino.features.preprocessing import centre_crop_pixels
from dino.features.teacher import CONFIG, WEIGHTS, load_backbone
from dino.model.timm_folder import read_folder

AnyImage = str | Path | Image.Image | Shaped[np.ndarray, "..."]
# the threads that share an image would read its file at the same time
_loading = threading.Lock()


class Teacher:
    """A frozen backbone with the preprocessing that belongs to it."""

    def __init__(self, backbone: FrozenBackbone, resize_px: int, crop_px: int) -> None:
        self.resize_px = resize_px
        """The short side of an image is resized to this (bicubic)."""
        self.crop_px = crop_px
        """Side of the central square that the backbone sees."""
        self.sha256 = backbone.sha256
        """Checksum of the file with the backbone's weights."""
        self.dim = backbone.dim
        """The length of a feature."""
        self._device = best_device()
        self.backbone = backbone.to(self._device)
        """What sees the images, for more than their features."""

    def extract(
        self,
        images: AnyImage | Iterable[AnyImage],
        batch_size: int = 64,
        *,
        normalise: bool = False,
    ) -> Float32[np.ndarray, "images dim"]:
        """The feature of each image: the [CLS] token after the final norm, in float32.

        Without a [CLS] token it is the pooled output. Images are paths, PIL's or arrays (uint8,
        uint16 or bool: height x width, or x 1 to 4 channels, the last of them alpha), one or many;
        all of them are read as `dino prepare` reads files: upright, on white, 16 bits scaled to 8.
        `batch_size` changes speed alone. With `normalise` each feature has length 1, so that
        products of features are cosines. Raises `DataError` that names the first image which
        cannot be read.
        """
        if batch_size < 1:
            raise ConfigurationError(f"batch_size: expected at least 1, got {batch_size}")
        if isinstance(images, AnyImage):
            images = [images]
        batches = [np.zeros((0, self.dim), np.float32)]
        with ThreadPoolExecutor(cores()) as threads:
            for batch in _batches(images, batch_size):
                batches.append(self.features(torch.stack(list(threads.map(self.pixels, batch)))))
        features = np.concatenate(batches)
        return of_length_one(features) if normalise else features

    def pixels(self, image: AnyImage) -> UInt8[Tensor, "3 crop crop"]:
        """What the backbone sees of an image, before normalisation.

        Raises `DataError` when it cannot be read.
        """
        try:
            return centre_crop_pixels(_in_known_mode(image), self.resize_px, self.crop_px)
        except (UnreadableImageError, OSError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else error
            raise DataError(f"{_name(image)}: cannot be read ({reason})") from None

    def features(
        self, pixels: UInt8[Tensor, "batch 3 crop crop"]
    ) -> Float32[np.ndarray, "batch dim"]:
        """The features of a batch of what `pixels` gives."""
        images = normalised(pixels.to(self._device))
        features = self.backbone.global_feature(images)
        ensure_finite_features(features, "the teacher")
        return features.float().cpu().numpy()


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
    described = read_folder(folder)
    height_px, width_px = described.image_size_px
    if crop_px is None and height_px != width_px:
        raise ConfigurationError(
            f"crop_px: {folder} was made for images of {height_px} x {width_px} px, and features "
            f"are those of a central square; say its side, such as {min(height_px, width_px)}"
        )
    crop_px = crop_px or height_px
    resize_px = resize_px or math.floor(crop_px / described.pixels.crop_share)
    if resize_px < crop_px:
        raise ConfigurationError(f"resize_px: expected at least crop_px {crop_px}, got {resize_px}")
    sides_px = backbone.patch_size_px or ()
    # a network may be made for images with a rest beside the patches, which it drops
    is_own = crop_px == height_px == width_px
    if not is_own and any(crop_px % side_px for side_px in sides_px):
        raise ConfigurationError(
            "crop_px: expected a multiple of the teacher's patches of "
            f"{' x '.join(map(str, dict.fromkeys(sides_px)))} px, got {crop_px}"
        )
    return Teacher(backbone, resize_px, crop_px)


def of_length_one(
    features: Float32[np.ndarray, "images dim"],
) -> Float32[np.ndarray, "images dim"]:
    """Each row divided by its Euclidean length; a row of zeros stays one."""
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    return features / np.where(lengths > 0, lengths, 1)


def _in_known_mode(image: AnyImage) -> Image.Image:
    """`image` as `decoded` gives it; raises `OSError` or `UnreadableImageError`."""
    if isinstance(image, np.ndarray):
        return in_known_mode(image_of_array(image))
    if isinstance(image, Image.Image):
        with _loading:
            return in_known_mode(image)
    try:
        return decoded(Path(image).read_bytes())
    except ValueError as error:
        # a null character in the path
        raise UnreadableImageError(str(error)) from None


def _name(image: AnyImage) -> str:
    if isinstance(image, np.ndarray):
        return f"an array of {image.dtype}, {' x '.join(map(str, image.shape))}"
    path = getattr(image, "filename", "") if isinstance(image, Image.Image) else image
    return on_one_line(str(path)) or "an image"


def _batches(images: Iterable[AnyImage], size: int) -> Iterator[list[AnyImage]]:
    iterator = iter(images)
    while batch := list(islice(iterator, size)):
        yield batch
