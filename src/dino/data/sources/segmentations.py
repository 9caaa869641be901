"""Data sets with true masks: Oxford-IIIT Pet and PASCAL VOC 2012, which has boxes too."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Literal
from xml.etree import ElementTree

import numpy as np
from PIL import Image

from dino.core.errors import DataError
from dino.data.annotations import Annotations, Box
from dino.data.decoding import UnreadableImageError, decoded_mask
from dino.data.source import Source, SourceSplit, png
from dino.data.sources.archives import Archive, located
from dino.data.sources.files import ImageFile, split_of_files

VOID = 255
_TRIMAP = np.array([VOID, 1, 0, VOID], dtype=np.uint8)
"""The values of a trimap: 1 is the pet, 2 the background, 3 the border between them."""


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
        for line in lines_of(root / "annotations" / f"{name}.txt"):
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
    path: Path | None,
    downloads: Path,
    masks: Literal["instances", "classes"] = "instances",
    task: Literal["segmentation", "detection"] = "segmentation",
) -> Source:
    """The 1,464 training and 1,449 validation images of the segmentation task; the latter are test.

    Of the detection task they are 5,717 and 5,823, most without a mask. All have boxes. An image
    shows objects of several classes, so that it has no label.
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
    folder = root / ("SegmentationObject" if masks == "instances" else "SegmentationClass")
    lists = root / "ImageSets" / ("Segmentation" if task == "segmentation" else "Main")

    def file(image: str) -> ImageFile:
        mask, boxes = folder / f"{image}.png", root / "Annotations" / f"{image}.xml"
        has_mask = task == "segmentation" or mask.is_file()
        return ImageFile(
            path=f"JPEGImages/{image}.jpg",
            label=-1,
            mask=partial(mask_file, mask) if has_mask else None,
            annotations=partial(boxes_of_voc, boxes) if boxes.is_file() else None,
        )

    def split(name: str) -> SourceSplit:
        return split_of_files(root, [file(image) for image in lines_of(lists / f"{name}.txt")])

    return Source(
        classes=(),
        train=split("train"),
        test=split("val"),
        mask_kind=f"{masks}, void where unsure",
        root=root,
    )


def boxes_of_voc(path: Path) -> Annotations:
    """The boxes in a file of VOC's Annotations/; raises `UnreadableImageError`.

    VOC numbers pixels from 1, and xmax and ymax are pixels of the object.
    """
    try:
        tree = ElementTree.parse(path).getroot()
        size_px = int(_text(tree, "size/width")), int(_text(tree, "size/height"))
        boxes = [
            Box(
                class_name=_text(entry, "name"),
                left_px=float(_text(entry, "bndbox/xmin")) - 1,
                top_px=float(_text(entry, "bndbox/ymin")) - 1,
                right_px=float(_text(entry, "bndbox/xmax")),
                bottom_px=float(_text(entry, "bndbox/ymax")),
                ignore=entry.findtext("difficult", "0").strip() == "1",
            )
            for entry in tree.iterfind("object")
        ]
    except (OSError, ValueError, ElementTree.ParseError) as error:
        raise UnreadableImageError(f"its boxes {path} cannot be read ({error})") from None
    return Annotations(boxes=tuple(boxes), size_px=size_px)


def _text(element: ElementTree.Element, path: str) -> str:
    text = element.findtext(path)
    if text is None:
        raise ValueError(f"no {path}")
    return text.strip()


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


def lines_of(path: Path) -> list[str]:
    """The lines of a list of images without blank ones and comments; raises `DataError`."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); fetch it again") from None
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]
