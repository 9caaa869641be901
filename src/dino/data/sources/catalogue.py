"""The sources by the names that params.yaml has for them."""

from collections.abc import Callable, Mapping
from pathlib import Path

from dino.core.configuration.dataset import DatasetConfig
from dino.core.errors import DataError
from dino.data.source import Source
from dino.data.sources.archives import is_archive, unpacked
from dino.data.sources.arrays import cifar, stl10
from dino.data.sources.coco import coco
from dino.data.sources.davis import davis2017
from dino.data.sources.digits import digits
from dino.data.sources.fashion_mnist import as_published, fashion_mnist, is_there
from dino.data.sources.folders import class_folders, folder
from dino.data.sources.huggingface import huggingface
from dino.data.sources.imagenet import has_to_be_unpacked, imagenet, imagenette
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
FOLDERS: Mapping[str, Callable[[Path], Source]] = {"coco": coco, "davis2017": davis2017}
"""Published sources that nobody downloads without asking: folders in their layouts."""
LISTED = ("digits", "folder", "class_folders", "manifest")
"""Sources that are files below a folder, or come with a package."""


def open_source(config: DatasetConfig, downloads: Path) -> Source:
    """The source that params.yaml names; raises `DataError` when its files are not there.

    What has to be fetched or unpacked is kept below `downloads`.
    """
    try:
        return _opened(config, downloads)
    except OSError as error:
        raise DataError(
            f"{error.filename or config.path}: cannot be read ({error.strerror or error}); check "
            "path in params.yaml and the permissions there"
        ) from None


def listed_source(config: DatasetConfig, downloads: Path) -> Source | None:
    """The source as far as listing files tells, which takes seconds for a million.

    None where something has to be fetched, unpacked or loaded first. What is wrong with the path
    is raised in any case.
    """
    path = _path(config)
    if config.source == "fashion_mnist":
        return fashion_mnist(path, downloads) if is_there(path) else as_published()
    if config.source == "imagenet":
        assert path is not None, "the configuration was validated"
        return None if has_to_be_unpacked(path) else open_source(config, downloads)
    if config.source in LISTED and not (path and path.is_file() and is_archive(path)):
        return open_source(config, downloads)
    return None


def _path(config: DatasetConfig) -> Path | None:
    path = None if config.path is None else Path(config.path)
    if path is not None and not path.exists():
        raise DataError(f"path: {path} does not exist; correct it in params.yaml")
    return path


def _opened(config: DatasetConfig, downloads: Path) -> Source:
    path = _path(config)
    if config.source == "digits":
        return digits()
    if config.source == "voc2012":
        return voc2012(path, downloads, config.masks, config.task)
    if config.source == "huggingface":
        return huggingface(path, config.huggingface, downloads)
    if config.source in PUBLISHED:
        return PUBLISHED[config.source](path, downloads)
    assert path is not None, "the configuration was validated"
    if config.source in FOLDERS:
        return FOLDERS[config.source](path)
    if config.source == "manifest":
        return manifest(path, config.columns)
    if config.source == "imagenet":
        return imagenet(path, downloads)
    root = unpacked(path, downloads) if path.is_file() and is_archive(path) else path
    return folder(root) if config.source == "folder" else class_folders(root)
