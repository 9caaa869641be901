"""features with images: write the features of any images by an exported teacher."""

import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from dino.core.distributed import cores
from dino.core.errors import ConfigurationError, DataError
from dino.core.file_names import is_utf8, on_one_line
from dino.core.paths import TEACHER
from dino.features.api import Teacher, load_teacher, of_length_one
from dino.features.image_files import check_feature_file, image_files, save_features


def execute(
    sources: Sequence[Path],
    output: Path,
    folder: Path | None,
    *,
    batch_size: int,
    resize_px: int | None = None,
    crop_px: int | None = None,
    normalise: bool = False,
    strict: bool = False,
) -> int:
    """Write `output` (Parquet, CSV or npy, as it ends) and return the exit code.

    `sources` are files and folders. An image that cannot be read, or whose name is not UTF-8, is
    one line on standard error and has no row; the code is 1 then only if `strict`. With
    `normalise` each feature has length 1. Raises `DataError` when none can be read.
    """
    check_feature_file(output)
    files = image_files(sources)
    teacher = load_teacher(folder or _only_teacher(), resize_px, crop_px)
    read: list[Path] = []
    batches = [np.zeros((0, teacher.dim), np.float32)]
    for batch, pixels in _readable(teacher, _named_in_utf8(files), batch_size):
        read += batch
        batches.append(teacher.features(pixels))
    if not read:
        raise DataError(f"none of the {len(files)} images could be read; nothing was written")
    features = np.concatenate(batches)
    metadata = {
        "model_sha256": teacher.sha256,
        "resize_px": str(teacher.resize_px),
        "crop_px": str(teacher.crop_px),
    }
    if normalise:
        features = of_length_one(features)
        metadata["normalised"] = "each feature has length 1"
    save_features(output, read, features, metadata)
    name = on_one_line(str(output))
    print(f"{name}: {len(read)} of {len(files)} images, {teacher.dim} numbers each")
    return int(strict and len(read) < len(files))


def _named_in_utf8(files: list[Path]) -> list[Path]:
    """The files whose names a table can hold; the others are said to be left out."""
    for file in files:
        if not is_utf8(str(file)):
            name = on_one_line(str(file))
            print(f"dino features: {name}: its name is not UTF-8; left out", file=sys.stderr)
    return [file for file in files if is_utf8(str(file))]


def _readable(
    teacher: Teacher, files: list[Path], batch_size: int
) -> Iterator[tuple[list[Path], Tensor]]:
    """Batches of the images that can be read, and their pixels."""

    def pixels(file: Path) -> Tensor | DataError:
        try:
            return teacher.pixels(file)
        except DataError as error:
            return error

    # a bar only where somebody watches
    progress = tqdm(total=len(files), desc="features", unit="images", disable=None)
    with progress, ThreadPoolExecutor(cores()) as threads:
        for start in range(0, len(files), batch_size):
            batch = files[start : start + batch_size]
            found = dict(zip(batch, threads.map(pixels, batch), strict=True))
            for error in found.values():
                if isinstance(error, DataError):
                    tqdm.write(f"dino features: {error}; left out", file=sys.stderr)
            good = {file: p for file, p in found.items() if isinstance(p, Tensor)}
            if good:
                yield list(good), torch.stack(list(good.values()))
            progress.update(len(batch))


def _only_teacher() -> Path:
    """The one exported teacher of the project; raises `ConfigurationError` unless there is one."""
    found = sorted(path.parent for path in Path("artifacts").glob(f"*/{TEACHER}/config.json"))
    if len(found) != 1:
        known = ", ".join(map(str, found)) or "none"
        raise ConfigurationError(
            f"--teacher: expected the folder of an exported teacher, since artifacts/ holds {known}"
        )
    return found[0]
