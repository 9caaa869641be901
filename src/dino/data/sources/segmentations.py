"""Data sets with true masks: Oxford-IIIT Pet and PASCAL VOC 2012."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from dino.core.errors import DataError
from dino.data.decoding import UnreadableImageError, decoded_mask
from dino.data.source import Source, SourceSplit, png
from dino.data.sources.archives import Archive, located
from dino.data.sources.files import ImageFile, split_of_files

VOID = 255
_TRIMAP = np.array([VOID, 1, 0, VOID], dtype=np.uint8)
"""What the values of a trimap mean; 1 is the pet, 2 the background, 3 the border between them."""


def oxford_iiit_pet(path: Path | None, downloads: Path) -> Source:
    """7,349 photographs of 37 breeds of cats and dogs; masks of the pet, its border is void."""
    from torchvision.datasets import OxfordIIITPet

    archives = [
        Archive(url=url, name=url.rsplit("/", 1)[1], md5=md5)
        for url, md5 in OxfordIIITPet._RESOURCES
    ]
    root = located(
        path,
        "annotations/trainval.txt",
        archives,
        downloads,
        "Oxford-IIIT Pet",
        below=("", "oxford-iiit-pet"),
    )
    names: dict[int, str] = {}

    def split(name: str) -> SourceSplit:
        files = []
        for line in _lines(root / "annotations" / f"{name}.txt"):
            image, number, *_ = line.split()
            names[int(number) - 1] = image.rsplit("_", 1)[0].replace("_", " ")
            mask = root / "annotations" / "trimaps" / f"{image}.png"
            files.append(
                ImageFile(
                    path=f"images/{image}.jpg",
                    label=int(number) - 1,
                    mask=partial(mask_file, mask, lambda pixels: _TRIMAP[np.minimum(pixels, 3)]),
                )
            )
        return split_of_files(root, files)

    train, test = split("trainval"), split("test")
    return Source(
        classes=tuple(names[number] for number in sorted(names)),
        train=train,
        test=test,
        mask_kind="foreground of the trimap, border void",
        root=root,
    )


def voc2012(
    path: Path | None, downloads: Path, masks: Literal["instances", "classes"] = "instances"
) -> Source:
    """The 1,464 training and 1,449 validation images of the segmentation task; the latter are test.

    An image shows objects of several classes, so that it has no label.
    """
    from torchvision.datasets.voc import DATASET_YEAR_DICT

    entry = DATASET_YEAR_DICT["2012"]
    archive = Archive(url=entry["url"], name=entry["filename"], md5=entry["md5"])
    root = located(
        path,
        "ImageSets/Segmentation/train.txt",
        [archive],
        downloads,
        "PASCAL VOC 2012",
        below=("", "VOC2012", "VOCdevkit/VOC2012"),
    )
    folder = "SegmentationObject" if masks == "instances" else "SegmentationClass"

    def split(name: str) -> SourceSplit:
        files = [
            ImageFile(
                path=f"JPEGImages/{image}.jpg",
                label=-1,
                mask=partial(mask_file, root / folder / f"{image}.png"),
            )
            for image in _lines(root / "ImageSets" / "Segmentation" / f"{name}.txt")
        ]
        return split_of_files(root, files)

    return Source(
        classes=(),
        train=split("train"),
        test=split("val"),
        mask_kind=f"{masks}, void where unsure",
        root=root,
    )


def mask_file(
    path: Path, objects: Callable[[np.ndarray], np.ndarray] = lambda pixels: pixels
) -> bytes:
    """The mask at `path` as an 8-bit PNG of `objects`; raises `UnreadableImageError`."""
    try:
        return mask_of_bytes(path.read_bytes(), objects)
    except OSError as error:
        raise UnreadableImageError(f"its mask {path} cannot be read ({error.strerror})") from None


def mask_of_bytes(
    encoded: bytes, objects: Callable[[np.ndarray], np.ndarray] = lambda pixels: pixels
) -> bytes:
    """An image file of a mask as an 8-bit PNG of `objects` of its values or palette indices."""
    try:
        pixels = np.asarray(decoded_mask(encoded))
    except UnreadableImageError as error:
        raise UnreadableImageError(f"its mask: {error}") from None
    if pixels.ndim != 2 or pixels.dtype not in (np.uint8, np.bool_):
        raise UnreadableImageError("its mask is not grey, with a byte for each pixel")
    return png(Image.fromarray(objects(pixels.astype(np.uint8))))


def _lines(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); fetch it again") from None
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]
