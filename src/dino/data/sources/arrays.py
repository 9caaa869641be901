"""Data sets that are arrays in a few files: CIFAR-10, CIFAR-100 and STL-10."""

from pathlib import Path
from typing import Literal

import numpy as np

from dino.core.errors import DataError
from dino.data.source import Source, SourceSplit, image_of_pixels
from dino.data.sources.archives import Archive, located, verify_md5

STL10_SIDE_PX = 96


def cifar(name: Literal["cifar10", "cifar100"], path: Path | None, downloads: Path) -> Source:
    """60,000 images of 32×32 px in 10 or 100 classes; the official test split.

    `path` holds torchvision's folder of it, or the archive of the Python version.
    """
    from torchvision.datasets import CIFAR10, CIFAR100

    kind = CIFAR10 if name == "cifar10" else CIFAR100
    archive = Archive(url=kind.url, name=kind.filename, md5=kind.tgz_md5)
    folder = located(path, kind.base_folder, [archive], downloads, name, below=("", ".."))

    def split(prefix: str, train: bool) -> tuple[SourceSplit, tuple[str, ...]]:
        try:
            loaded = kind(str(folder), train=train)
        except (RuntimeError, OSError) as error:
            raise DataError(f"{folder / kind.base_folder}: {error}") from None
        ids = [f"{prefix}/{index:05d}" for index in range(len(loaded.data))]
        labels = np.array(loaded.targets, dtype=np.int64)
        images = SourceSplit(
            ids=ids, labels=labels, read=lambda index: image_of_pixels(loaded.data[index])
        )
        return images, tuple(loaded.classes)

    train, classes = split("train", True)
    test, _ = split("test", False)
    return Source(classes=classes, train=train, test=test, mask_kind=None)


def stl10(path: Path | None, downloads: Path) -> Source:
    """13,000 images of 96×96 px in 10 classes, and 100,000 without a label for training alone.

    `path` holds torchvision's folder stl10_binary, or the archive of it. The images are mapped,
    not loaded.
    """
    from torchvision.datasets import STL10

    archive = Archive(url=STL10.url, name=STL10.filename, md5=STL10.tgz_md5)
    root = located(path, STL10.base_folder, [archive], downloads, "STL-10", below=("", ".."))
    folder = root / STL10.base_folder
    for name, md5 in STL10.train_list + STL10.test_list:
        verify_md5(folder / name, md5)

    def images(name: str) -> np.ndarray:
        mapped = np.memmap(folder / name, dtype=np.uint8, mode="r")
        # of each image its channels, of each channel its columns
        return mapped.reshape(-1, 3, STL10_SIDE_PX, STL10_SIDE_PX).transpose(0, 3, 2, 1)

    def split(*parts: tuple[str, str | None]) -> SourceSplit:
        arrays = {prefix: images(f"{prefix}_X.bin") for prefix, _ in parts}
        items = [(prefix, index) for prefix, array in arrays.items() for index in range(len(array))]
        labels = [
            np.full(len(arrays[prefix]), -1)
            if truth is None
            else np.fromfile(folder / truth, dtype=np.uint8).astype(np.int64) - 1
            for prefix, truth in parts
        ]

        return SourceSplit(
            ids=[f"{prefix}/{index:06d}" for prefix, index in items],
            labels=np.concatenate(labels).astype(np.int64),
            read=lambda i: image_of_pixels(np.ascontiguousarray(arrays[items[i][0]][items[i][1]])),
        )

    names = (folder / STL10.class_names_file).read_text(encoding="utf-8").split()
    return Source(
        classes=tuple(names),
        train=split(("train", "train_y.bin"), ("unlabeled", None)),
        test=split(("test", "test_y.bin")),
        mask_kind=None,
    )
