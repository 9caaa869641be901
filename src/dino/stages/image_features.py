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
from dino.core.paths import TEACHER
from dino.features.api import Teacher, load_teacher
from dino.features.image_files import image_files, save_feature_table


def execute(
    sources: Sequence[Path],
    output: Path,
    folder: Path | None,
    *,
    batch_size: int,
    resize_px: int | None = None,
    crop_px: int | None = None,
    strict: bool = False,
) -> int:
    """Write `output` (Parquet) and return the exit code.

    `sources` are files and folders. An image that cannot be read is one line on standard error
    and has no row; the code is 1 then only if `strict`. Raises `DataError` when none can be read.
    """
    teacher = load_teacher(folder or _only_teacher(), resize_px, crop_px)
    files = image_files(sources)
    read: list[Path] = []
    features = [np.zeros((0, teacher.dim), np.float32)]
    for batch, pixels in _readable(teacher, files, batch_size):
        read += batch
        features.append(teacher.features(pixels))
    if not read:
        raise DataError(f"none of the {len(files)} images could be read; nothing was written")
    metadata = {
        "model_sha256": teacher.sha256,
        "resize_px": str(teacher.resize_px),
        "crop_px": str(teacher.crop_px),
    }
    save_feature_table(output, read, np.concatenate(features), metadata)
    print(f"{output}: {len(read)} of {len(files)} images, {teacher.dim} numbers each")
    return int(strict and len(read) < len(files))


def _readable(
    teacher: Teacher, files: list[Path], batch_size: int
) -> Iterator[tuple[list[Path], Tensor]]:
    """Batches of what can be read, and their pixels."""

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
