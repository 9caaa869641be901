"""Folders of images: unlabelled, or with a folder for each class."""

from collections.abc import Mapping
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
        for split, paths in _paths(root, _split_folders(root)).items()
    }
    return _source(root, (), splits)


def class_folders(
    root: Path,
    names: Mapping[str, str] | None = None,
    split_folders: Mapping[str, str] | None = None,
) -> Source:
    """All images below `root`; the folder below the root, or below its split's, is the class.

    Classes are in the order of their folders' names; `names` gives some of them another name.
    Images that lie in no class's folder are for the quarantine. `split_folders` says which folders
    are read as which splits, where that is known.
    """
    if split_folders is None:
        split_folders = _split_folders(root)
    paths = _paths(root, split_folders)
    # the name of the split is a part of the path where the root holds splits
    depth = 1 if split_folders else 0
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


def _paths(root: Path, split_folders: Mapping[str, str]) -> dict[str, list[str]]:
    """The images of each split that the root holds; all of them are train where it holds none."""
    if not split_folders:
        return {"train": image_paths(root)}
    return {split: image_paths(root, below) for split, below in split_folders.items()}


def _split_folders(root: Path) -> dict[str, str]:
    """The folders of splits in `root`; none where `train` is but one class among others."""
    if not root.is_dir():
        raise DataError(f"{root}: expected a folder of images; correct prepare.path in params.yaml")
    inside = {path.name for path in root.iterdir() if path.is_dir() and path.name[0] != "."}
    found = {split: name for split, names in SPLITS.items() for name in names if name in inside}
    others = sorted(inside - set(found.values()))
    if "train" not in found or (others and len(found) == 1):
        return {}
    if others:
        raise DataError(
            f"{root}: expected the splits' folders alone ({', '.join(found.values())}), found "
            f"{others[0]} beside them; move it elsewhere"
        )
    return found


def _source(root: Path, classes: tuple[str, ...], splits: dict[str, SourceSplit]) -> Source:
    return Source(
        classes=classes,
        train=splits["train"],
        val=splits.get("val"),
        test=splits.get("test"),
        mask_kind=None,
        root=root,
    )
