"""The sources by the names that params.yaml has for them."""

from collections.abc import Callable, Mapping
from pathlib import Path

from dino.core.configuration.prepare import PrepareConfig
from dino.core.errors import DataError
from dino.data.source import Source
from dino.data.sources.archives import is_archive, unpacked
from dino.data.sources.arrays import cifar, stl10
from dino.data.sources.digits import digits
from dino.data.sources.fashion_mnist import fashion_mnist
from dino.data.sources.folders import class_folders, folder
from dino.data.sources.huggingface import huggingface
from dino.data.sources.imagenet import imagenet, imagenette
from dino.data.sources.segmentations import oxford_iiit_pet, voc2012
from dino.data.sources.table import manifest

PUBLISHED: Mapping[str, Callable[[Path | None, Path], Source]] = {
    "fashion_mnist": fashion_mnist,
    "imagenette": imagenette,
    "cifar10": lambda path, downloads: cifar("cifar10", path, downloads),
    "cifar100": lambda path, downloads: cifar("cifar100", path, downloads),
    "stl10": stl10,
    "oxford_iiit_pet": oxford_iiit_pet,
}
"""Sources that need nothing but a folder, or a folder to download to."""


def open_source(config: PrepareConfig, downloads: Path) -> Source:
    """The source that params.yaml names; raises `DataError` when its files are not there.

    What has to be fetched or unpacked is kept below `downloads`.
    """
    if config.source == "digits":
        return digits()
    path = None if config.path is None else Path(config.path)
    if path is not None and not path.exists():
        raise DataError(f"prepare.path: {path} does not exist; correct it in params.yaml")
    if config.source == "voc2012":
        return voc2012(path, downloads, config.masks)
    if config.source == "huggingface":
        return huggingface(path, config.huggingface, downloads)
    if config.source in PUBLISHED:
        return PUBLISHED[config.source](path, downloads)
    assert path is not None, "the configuration was validated"
    if config.source == "manifest":
        return manifest(path, config.columns)
    if config.source == "imagenet":
        return imagenet(path, downloads)
    root = unpacked(path, downloads) if path.is_file() and is_archive(path) else path
    return folder(root) if config.source == "folder" else class_folders(root)
