"""One image on its way into the prepared data set: checked, and stored as configured."""

import hashlib
import io
from dataclasses import dataclass
from typing import Any

from PIL import Image

from dino.core.configuration.dataset import DatasetConfig
from dino.data.annotations import Annotations
from dino.data.decoding import UnreadableImageError, decoded, decoded_mask
from dino.data.source import SourceImage, png
from dino.data.splitting import Assignment

_JPEG_QUALITY = 95


@dataclass(frozen=True, kw_only=True)
class Examined:
    """An image that can be used: its row of the manifest, and its bytes for images.arrow."""

    row: dict[str, Any]
    pixels_sha256: str
    """The checksum of the upright image in "L" or "RGB", whatever its file."""
    image: bytes | None
    mask: bytes | None


@dataclass(frozen=True, kw_only=True)
class Rejected:
    """An image for the quarantine."""

    id: str
    split: str
    """It was drawn for; empty: for none."""
    reason: str


def examine(
    assignment: Assignment, position: int, classes: tuple[str, ...], config: DatasetConfig
) -> Examined | Rejected:
    """The image at `position` of the assignment's part of the source."""
    source = assignment.source
    try:
        item = source.read(position)
        image = decoded(item.encoded, config.max_pixels)
        if min(image.size) < config.min_side_px:
            raise UnreadableImageError(
                f"{image.width} by {image.height} pixels are less than min_side_px "
                f"{config.min_side_px}"
            )
        mask = _checked_mask(item, image)
        annotations = _checked_annotations(item, image)
    except (OSError, UnreadableImageError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return Rejected(id=source.ids[position], split=assignment.split, reason=reason)
    pixels = hashlib.sha256(f"{image.mode} {image.size}".encode() + image.tobytes()).hexdigest()
    encoded: bytes | None = item.encoded
    if config.storage == "pack":
        size_px = image.size
        image, encoded, mask = _packed(image, mask, config)
        annotations = annotations.resized(image.width / size_px[0], image.height / size_px[1])
    elif config.storage == "index":
        encoded = None
    label = int(source.labels[position])
    row = {
        "id": source.ids[position],
        "split": assignment.split,
        "label": label,
        "class_name": classes[label] if label >= 0 else "",
        "width_px": image.width,
        "height_px": image.height,
        "channels": len(image.mode),
        "sha256": item.sha256,
        "has_mask": mask is not None,
        **annotations.columns(),
    }
    if config.storage == "index":
        assert source.paths is not None, "was checked before"
        row["path"] = source.paths[position]
    return Examined(row=row, pixels_sha256=pixels, image=encoded, mask=mask)


def _checked_mask(item: SourceImage, image: Image.Image) -> bytes | None:
    if item.mask is not None:
        mask = decoded_mask(item.mask)
        if mask.size != image.size:
            raise UnreadableImageError(
                f"its mask has {mask.width} by {mask.height} pixels, the image "
                f"{image.width} by {image.height}"
            )
    return item.mask


def _checked_annotations(item: SourceImage, image: Image.Image) -> Annotations:
    size_px = item.annotations.size_px
    if size_px not in (None, image.size):
        raise UnreadableImageError(
            f"its boxes are of an image of {size_px[0]} by {size_px[1]} pixels, the image has "
            f"{image.width} by {image.height}"
        )
    return item.annotations


def _packed(
    image: Image.Image, mask: bytes | None, config: DatasetConfig
) -> tuple[Image.Image, bytes, bytes | None]:
    """The image with a short side of at most `pack_short_side_px`, its file, and its mask."""
    factor = config.pack_short_side_px / min(image.size)
    if factor < 1:
        width, height = (max(1, round(side * factor)) for side in image.size)
        image = image.resize((width, height), Image.Resampling.BICUBIC)
        if mask is not None:
            mask = png(decoded_mask(mask).resize((width, height), Image.Resampling.NEAREST))
    if config.pack_format == "png":
        return image, png(image), mask
    stream = io.BytesIO()
    image.save(stream, format="JPEG", quality=_JPEG_QUALITY)
    return image, stream.getvalue(), mask
