"""Images that are files: listed once, read one at a time."""

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dino.data.decoding import UnreadableImageError
from dino.data.source import SourceImage, SourceSplit

SUFFIXES = frozenset(
    {".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".pgm", ".png", ".pnm", ".ppm"}
    | {".tif", ".tiff", ".webp"}
)
"""What a file's name ends with when it is taken for an image, in any case of letters."""


@dataclass(frozen=True, kw_only=True)
class ImageFile:
    """One file of a source."""

    path: str
    """Relative to the source's root."""
    label: int
    """-1: unlabelled."""
    mask: Callable[[], bytes] | None = None
    """Reads its mask, as in `SourceImage`."""
    problem: str | None = None
    """Why it cannot be used whatever it holds."""


def split_of_files(root: Path, files: Sequence[ImageFile]) -> SourceSplit:
    """`files` below `root` as a split, in their order."""

    def read(index: int) -> SourceImage:
        file = files[index]
        if file.problem is not None:
            raise UnreadableImageError(file.problem)
        if _in_utf8(file.path) != file.path:
            raise UnreadableImageError("its name is not UTF-8, as the manifest's names are")
        encoded = (root / file.path).read_bytes()
        return SourceImage(
            encoded=encoded,
            sha256=hashlib.sha256(encoded).hexdigest(),
            mask=None if file.mask is None else file.mask(),
        )

    return SourceSplit(
        ids=[_in_utf8(file.path) for file in files],
        labels=np.array([file.label for file in files], dtype=np.int64),
        read=read,
        paths=[_in_utf8(file.path) for file in files],
    )


def image_paths(root: Path, below: str = "") -> list[str]:
    """Every image below the folder `root`/`below`, relative to `root`, sorted.

    Links are followed, each folder once; names that begin with a dot are left out. So are files
    that are not called like images; an empty folder that is called like one is listed.
    """
    return sorted(_walk(root, below, {os.path.realpath(root / below)}))


def _walk(root: Path, below: str, visited: set[str]) -> Iterator[str]:
    with os.scandir(root / below) as entries:
        listed = sorted(entries, key=lambda entry: entry.name)
    for entry in listed:
        relative = os.path.join(below, entry.name)  # noqa: PTH118 - a million Paths are slow
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            real = os.path.realpath(entry.path)
            if real not in visited:
                visited.add(real)
                found = list(_walk(root, relative, visited))
                yield from found
                if not found and _is_called_image(entry.name):
                    yield relative
        elif _is_called_image(entry.name):
            yield relative


def _is_called_image(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in SUFFIXES  # noqa: PTH122 - a million Paths are slow


def _in_utf8(path: str) -> str:
    return os.fsencode(path).decode("utf-8", "backslashreplace")
