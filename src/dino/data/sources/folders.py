"""Folders of images: unlabelled, or with a folder for each class."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from dino.core.errors import DataError
from dino.core.file_names import is_utf8
from dino.data.source import Source, SourceSplit
from dino.data.sources.files import ImageFile, image_paths, split_of_files
from dino.data.sources.split_names import split_called

NO_CLASS = "it lies in no class's folder"


def folder(root: Path) -> Source:
    """All images below `root`, unlabelled; its folders train, val and test are the splits."""
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
    for split in paths.values():
        _check_splits_are_outermost(root, split, depth)
    folders = sorted(
        {
            parts[depth]
            for split in paths.values()
            for path in split
            if len(parts := path.split("/")) > depth + 1 and is_utf8(parts[depth])
        }
    )
    if not folders:
        raise DataError(
            f"{root}: expected a folder of images for each class, found none; "
            "correct path, or set source to folder for unlabelled images"
        )
    label = {name: index for index, name in enumerate(folders)}

    def file(path: str) -> ImageFile:
        parts = path.split("/")
        if len(parts) <= depth + 1 or parts[depth] not in label:
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
    """The folders of splits in `root`; none where one of these names is but one class of many."""
    if not root.is_dir():
        raise DataError(f"{root}: expected a folder of images; correct path in params.yaml")
    inside = sorted(path.name for path in root.iterdir() if path.is_dir() and path.name[0] != ".")
    called = {name: split for name in inside if (split := split_called(name)) is not None}
    others = [name for name in inside if name not in called]
    if not called or (others and len(called) == 1):
        return {}
    found = ", ".join(called)
    if len(set(called.values())) < len(called):
        raise DataError(f"{root}: expected one folder for each split, found {found}; join them")
    if others:
        raise DataError(
            f"{root}: expected the splits' folders alone ({found}), found {others[0]} beside them; "
            "move it elsewhere"
        )
    if "train" not in called.values():
        raise DataError(
            f"{root}: expected train/ beside {found}, found none; add it, or set path to "
            "the folder that holds the images"
        )
    return {split: name for name, split in called.items()}


def _check_splits_are_outermost(root: Path, paths: Iterable[str], depth: int) -> None:
    """Raise `DataError` where the folders in a class are called like splits.

    Images of its test/ would be trained on.
    """
    inside: dict[str, dict[str, str]] = {}
    for path in paths:
        parts = path.split("/")
        if len(parts) > depth + 2 and (split := split_called(parts[depth + 1])) is not None:
            inside.setdefault(parts[depth], {})[split] = parts[depth + 1]
    for outer, splits in inside.items():
        if len(splits) > 1:
            raise DataError(
                f"{root}: expected splits that hold classes, such as train/CLASS, found "
                f"{' and '.join(sorted(splits.values()))} inside {outer}; move them, or correct "
                "path"
            )


def _source(root: Path, classes: tuple[str, ...], splits: dict[str, SourceSplit]) -> Source:
    return Source(
        classes=classes,
        train=splits["train"],
        val=splits.get("val"),
        test=splits.get("test"),
        mask_kind=None,
        root=root,
    )
