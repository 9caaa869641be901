"""Synthetic images that are as much work as photographs, and a data set made of them."""

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from dino.core.configuration.dataset import DatasetConfig
from dino.data.dataset import PreparedDataset
from dino.data.preparation import prepare
from dino.data.source import Source, SourceImage, SourceSplit

JPEG_QUALITY = 90


def photograph(
    width: int, height: int, channels: int, rng: np.random.Generator
) -> UInt8[np.ndarray, "height width channels"]:
    """Noise whose amplitude falls as 1/frequency, as that of photographs does."""
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    frequency[0, 0] = 1
    # channels share most of what they show
    noise = rng.standard_normal((height, width, 1)) + 0.3 * rng.standard_normal(
        (height, width, channels)
    )
    spectrum = np.fft.rfft2(noise, axes=(0, 1)) / frequency[..., None]
    spectrum[0, 0] = 0
    pixels = np.fft.irfft2(spectrum, s=(height, width), axes=(0, 1))
    return np.clip(128 + 50 * pixels / pixels.std(), 0, 255).astype(np.uint8)


def jpegs(count: int, width: int, height: int) -> list[bytes]:
    """Colour images as JPEG files."""
    rng = np.random.default_rng(0)
    return [
        _encoded(Image.fromarray(photograph(width, height, 3, rng)), "JPEG", quality=JPEG_QUALITY)
        for _ in range(count)
    ]


def grey_pngs(count: int, side_px: int) -> list[bytes]:
    """Square grey images as PNG files."""
    rng = np.random.default_rng(0)
    return [
        _encoded(Image.fromarray(photograph(side_px, side_px, 1, rng)[..., 0]), "PNG")
        for _ in range(count)
    ]


def prepared(files: Sequence[bytes], folder: Path) -> PreparedDataset:
    """A data set below `folder` whose training images are `files`, prepared as any other."""

    def read(index: int) -> SourceImage:
        encoded = files[index % len(files)]
        return SourceImage(encoded=encoded, sha256=hashlib.sha256(encoded).hexdigest(), mask=None)

    def split(count: int) -> SourceSplit:
        labels = np.zeros(count, dtype=np.int64)
        return SourceSplit(ids=[str(index) for index in range(count)], labels=labels, read=read)

    # one image more is held out as val, and one is test: no data set is without
    source = Source(
        classes=("synthetic",), train=split(len(files) + 1), test=split(1), mask_kind=None
    )
    prepare(source, DatasetConfig(val_images=1), folder)
    return PreparedDataset.open(folder)


def _encoded(image: Image.Image, file_format: str, **options: int) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format=file_format, **options)
    return stream.getvalue()
