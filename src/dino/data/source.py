"""What `prepare` reads images from, whatever they come from."""

import hashlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64, UInt8
from PIL import Image


@dataclass(frozen=True, kw_only=True)
class SourceImage:
    """One image: its file's bytes, and where there is one, the mask of its object."""

    encoded: bytes
    """A PNG or JPEG file."""
    sha256: str
    """Of the original file; of the pixels where the source has no files."""
    mask: bytes | None
    """A one-bit PNG file, True on the object."""


@dataclass(frozen=True, kw_only=True)
class SourceSplit:
    """The images of a source's own training or test split; read one at a time."""

    ids: Sequence[str]
    labels: Int64[np.ndarray, " images"]
    """Class index of each image; -1: unlabelled."""
    read: Callable[[int], SourceImage]


@dataclass(frozen=True, kw_only=True)
class Source:
    """A data set before it is prepared."""

    classes: tuple[str, ...]
    train: SourceSplit
    test: SourceSplit
    mask_kind: str | None
    """What the masks are, as it is named in results; None: there are none."""


def image_of_pixels(
    pixels: UInt8[np.ndarray, "height width"], mask: Bool[np.ndarray, "height width"]
) -> SourceImage:
    """A grey image that exists as an array alone, with its mask."""
    return SourceImage(
        encoded=_png(Image.fromarray(pixels)),
        sha256=hashlib.sha256(pixels.tobytes()).hexdigest(),
        mask=_png(Image.fromarray(mask)),
    )


def _png(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format="PNG", compress_level=1)
    return stream.getvalue()
