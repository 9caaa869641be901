"""The form in which `prepare` gets images, whatever their source."""

import hashlib
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int64, UInt8
from PIL import Image

from dino.data.annotations import Annotations

NONE = Annotations()


@dataclass(frozen=True, kw_only=True)
class SourceImage:
    """One image: its file's bytes, and where there is one, the mask of its objects."""

    encoded: bytes
    """An image file, perhaps damaged."""
    sha256: str
    """The checksum of the original file, or of the pixels if the source has no files."""
    mask: bytes | None
    """A PNG file: one bit, True on the object, or 8 bits as in `PreparedDataset.objects`."""
    annotations: Annotations = NONE
    """Boxes, a place in a video, and matches, if the source has them."""


@dataclass(frozen=True, kw_only=True)
class SourceSplit:
    """The images of a source's own training, validation or test split; read one at a time."""

    ids: Sequence[str]
    labels: Int64[np.ndarray, " images"]
    """The class index of each image; -1 means unlabelled."""
    read: Callable[[int], SourceImage]
    """Reads an image; raises `OSError` or `UnreadableImageError` if it cannot be read."""
    unusable: Mapping[int, str] = field(default_factory=dict)
    """The reasons for which images, by position, cannot be used, whatever their files hold. They
    are drawn for no split.
    """
    paths: Sequence[str] | None = None
    """Each image's file below the source's root; None: the images are not files."""
    version: str = ""
    """A text that changes with the images, if neither ids nor files nor checksums do."""

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, kw_only=True)
class Source:
    """A data set before it is prepared."""

    classes: tuple[str, ...]
    """The names of the classes; empty if nothing is labelled."""
    train: SourceSplit
    val: SourceSplit | None = None
    """None if it is to be held out from train."""
    test: SourceSplit | None
    """None if it is to be held out from train."""
    mask_kind: str | None
    """The name of the kind of masks in results; None if there are no masks."""
    root: Path | None = None
    """The folder to which `SourceSplit.paths` are relative."""


def image_of_pixels(
    pixels: UInt8[np.ndarray, "height width *channels"],
    mask: Bool[np.ndarray, "height width"] | UInt8[np.ndarray, "height width"] | None = None,
) -> SourceImage:
    """A grey or colour image that exists as an array alone, with its mask."""
    return SourceImage(
        encoded=png(Image.fromarray(pixels)),
        sha256=hashlib.sha256(pixels.tobytes()).hexdigest(),
        mask=None if mask is None else png(Image.fromarray(mask)),
    )


def png(image: Image.Image) -> bytes:
    """The image as a PNG file."""
    stream = io.BytesIO()
    image.save(stream, format="PNG", compress_level=1)
    return stream.getvalue()
