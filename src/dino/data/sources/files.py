"""Images that are files: listed once, read one at a time."""

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dino.core.errors import DataError
from dino.core.file_names import in_utf8, is_utf8, on_one_line
from dino.data.annotations import Annotations
from dino.data.decoding import UnreadableImageError, endings
from dino.data.source import NONE, SourceImage, SourceSplit

_NAMED_ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".avif", ".tif", ".bmp", ".gif")
_OTHERS_NAMED = 3
_OF_CAMERAS = frozenset(
    {".heic", ".heif", ".jxl", ".arw", ".cr2", ".cr3", ".dng", ".nef", ".orf", ".raf", ".rw2"}
)
"""Endings of photographs that have to be converted before Pillow can read them."""


@dataclass(frozen=True, kw_only=True)
class ImageFile:
    """One file of a source."""

    path: str
    """Relative to the source's root."""
    label: int
    """-1: unlabelled."""
    mask: Callable[[], bytes] | None = None
    """Reads its mask, as in `SourceImage`."""
    annotations: Callable[[], Annotations] | None = None
    """Reads what else is said of it; raises `UnreadableImageError` where that is damaged."""
    problem: str | None = None
    """Why it cannot be used whatever it holds."""


def split_of_files(root: Path, files: Sequence[ImageFile]) -> SourceSplit:
    """`files` below `root` as a split, in their order."""

    def read(index: int) -> SourceImage:
        file = files[index]
        try:
            encoded = (root / file.path).read_bytes()
        except ValueError as error:
            # a manifest's path with a null character
            raise UnreadableImageError(f"not the path of a file ({error})") from None
        return SourceImage(
            encoded=encoded,
            sha256=hashlib.sha256(encoded).hexdigest(),
            mask=None if file.mask is None else file.mask(),
            annotations=NONE if file.annotations is None else file.annotations(),
        )

    return SourceSplit(
        ids=[in_utf8(file.path) for file in files],
        labels=np.array([file.label for file in files], dtype=np.int64),
        read=read,
        unusable={i: why for i, file in enumerate(files) if (why := _problem(file)) is not None},
        paths=[in_utf8(file.path) for file in files],
    )


def _problem(file: ImageFile) -> str | None:
    if not is_utf8(file.path):
        return "its name is not UTF-8, as the manifest's names are"
    return file.problem


def image_paths(root: Path, below: str = "") -> list[str]:
    """Every image below the folder `root`/`below`, relative to `root`, sorted.

    Links are followed, each folder once; names that begin with a dot are left out. So are files
    that are not called like images; an empty folder that is called like one is listed. Raises
    `DataError` where there is none.
    """
    others: Counter[str] = Counter()
    found = sorted(_walk(root, below, {os.path.realpath(root / below)}, others))
    if not found:
        raise _no_image(root / below, others)
    return found


def photographs_passed_over(root: Path) -> str | None:
    """A line with the number of photographs below `root` that Pillow cannot read; None for 0."""
    others: Counter[str] = Counter()
    # the walk counts them
    for _ in _walk(root, "", {os.path.realpath(root)}, others):
        pass
    counts = [f"{others[ending]} {ending}" for ending in sorted(_OF_CAMERAS & others.keys())]
    if not counts:
        return None
    return f"{on_one_line(str(root))}: {', '.join(counts)} passed over, which Pillow cannot read"


def _no_image(folder: Path, others: Counter[str]) -> DataError:
    common = [ending for ending in _NAMED_ENDINGS if ending in endings()]
    more = len(endings()) - len(common)
    instead = [
        f"{count} {on_one_line(ending) or 'without an ending'}"
        for ending, count in others.most_common(_OTHERS_NAMED)
    ]
    if len(others) > _OTHERS_NAMED:
        instead.append("others")
    return DataError(
        f"{on_one_line(str(folder))}: no image found; endings looked for: {', '.join(common)} and "
        f"{more} more that Pillow reads; found instead: {', '.join(instead) or 'no file'}; "
        "correct the path, or convert the files"
    )


def _walk(root: Path, below: str, visited: set[str], others: Counter[str]) -> Iterator[str]:
    try:
        with os.scandir(root / below) as entries:
            listed = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise DataError(
            f"{on_one_line(str(root / below))}: cannot be read ({error.strerror}); "
            "make it readable, or move it elsewhere"
        ) from None
    for entry in listed:
        relative = os.path.join(below, entry.name)  # noqa: PTH118 - a million Paths are slow
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            real = os.path.realpath(entry.path)
            if real not in visited:
                visited.add(real)
                found = list(_walk(root, relative, visited, others))
                yield from found
                if not found and _ending(entry.name) in endings():
                    yield relative
        elif _ending(entry.name) in endings():
            yield relative
        else:
            others[_ending(entry.name)] += 1


def _ending(name: str) -> str:
    return os.path.splitext(name)[1].lower()  # noqa: PTH122 - a million Paths are slow
