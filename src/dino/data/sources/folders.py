"""Folders of images: unlabelled, or with a folder for each class."""

from pathlib import Path

from dino.core.errors import DataError
from dino.data.source import Source, SourceSplit
from dino.data.sources.files import ImageFile, image_paths, split_of_files

SPLITS = {"train": ("train",), "val": ("val", "valid", "validation"), "test": ("test",)}
"""What the folders of the splits may be called."""
NO_CLASS = "it lies in no class's folder"


def folder(root: Path) -> Source:
    """All images below `root`, unlabelled; `train`, `val` and `test` there are the splits."""
    splits = {
        split: split_of_files(root, [ImageFile(path=path, label=-1) for path in paths])
        for split, paths in _paths(root).items()
    }
    return _source(root, (), splits)


def class_folders(root: Path, names: dict[str, str] | None = None) -> Source:
    """All images below `root`; the folder below the root, or below its split's, is the class.

    Classes are in the order of their folders' names; `names` gives some of them another name.
    Images that lie in no class's folder are for the quarantine.
    """
    paths = _paths(root)
    # the name of the split is a part of the path where the root holds splits
    depth = 0 if _split_folders(root) == {} else 1
    folders = sorted(
        {
            parts[depth]
            for split in paths.values()
            for path in split
            if len(parts := path.split("/")) > depth + 1
        }
    )
    if not folders:
        raise DataError(
            f"{root}: expected a folder of images for each class, found none; "
            "correct prepare.path, or set prepare.source to folder for unlabelled images"
        )
    label = {name: index for index, name in enumerate(folders)}

    def file(path: str) -> ImageFile:
        parts = path.split("/")
        if len(parts) <= depth + 1:
            return ImageFile(path=path, label=-1, problem=NO_CLASS)
        return ImageFile(path=path, label=label[parts[depth]])

    splits = {
        split: split_of_files(root, [file(path) for path in found])
        for split, found in paths.items()
    }
    return _source(root, tuple((names or {}).get(name, name) for name in folders), splits)


def _paths(root: Path) -> dict[str, list[str]]:
    """The images of each split that the root holds; all of them are train where it holds none."""
    if not root.is_dir():
        raise DataError(f"{root}: expected a folder of images; correct prepare.path in params.yaml")
    splits = _split_folders(root)
    if not splits:
        return {"train": image_paths(root)}
    return {split: image_paths(root, below) for split, below in splits.items()}


def _split_folders(root: Path) -> dict[str, str]:
    found = {
        split: name for split, names in SPLITS.items() for name in names if (root / name).is_dir()
    }
    return found if "train" in found else {}


def _source(root: Path, classes: tuple[str, ...], splits: dict[str, SourceSplit]) -> Source:
    return Source(
        classes=classes,
        train=splits["train"],
        val=splits.get("val"),
        test=splits.get("test"),
        mask_kind=None,
        root=root,
    )
