"""Image files as a command line names them, and the files that their features are written to."""

import csv
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float32

from dino.core.artifacts import replacing
from dino.core.errors import ConfigurationError, DataError
from dino.core.file_names import on_one_line
from dino.data.sources.files import image_paths, photographs_passed_over

FORMATS = (".parquet", ".csv", ".npy")
_NAMES = ".paths.csv"
"""Beside an .npy file, which holds numbers alone: what its rows are of."""


def image_files(sources: Iterable[Path]) -> list[Path]:
    """The files among `sources`, and the images below its folders, each once, in order.

    Below a folder those count that `dino prepare` would take, sorted by path; a file that is named
    counts whatever its ending. Raises `DataError` for a source that is not there and for a folder
    without any.
    """
    files: list[Path] = []
    for source in sources:
        try:
            # not exists(), which a link to nowhere and a name that is too long would leave silently
            source.stat()
        except OSError as error:
            name = on_one_line(str(source))
            raise DataError(f"{name}: no such file or folder ({error.strerror})") from None
        if source.is_dir():
            files += [source / path for path in image_paths(source)]
            if (line := photographs_passed_over(source)) is not None:
                print(f"dino features: {line}", file=sys.stderr)
        else:
            files.append(source)
    return list(dict.fromkeys(files))


def check_feature_file(path: Path) -> None:
    """Raise `ConfigurationError` where features cannot be written to `path`."""
    name = on_one_line(str(path))
    if path.suffix.lower() not in FORMATS:
        known = f"{', '.join(FORMATS[:-1])} or {FORMATS[-1]}"
        raise ConfigurationError(f"-o: expected a name that ends in {known}, got {name}")
    if path.is_dir():
        raise ConfigurationError(f"-o: expected the name of a file, got the folder {name}")
    there = next(folder for folder in path.absolute().parents if folder.exists())
    if not (there.is_dir() and os.access(there, os.W_OK | os.X_OK)):
        raise ConfigurationError(f"-o: {name} cannot be written, since {there} is not writable")


def save_features(
    path: Path,
    images: Sequence[Path],
    features: Float32[np.ndarray, "images dim"],
    metadata: dict[str, str],
) -> None:
    """Write what the suffix asks for, atomically; equal arguments give equal bytes.

    .parquet: columns path and features (lists of a fixed size), `metadata` in the schema. .csv:
    columns path, feature_0 and so on, each number with the digits that tell it from its
    neighbours. .npy: the array, and the paths in a .paths.csv beside it. The names have to be
    UTF-8.
    """
    names = [str(image) for image in images]
    if path.suffix.lower() == ".parquet":
        _save_parquet(path, names, features, metadata)
    elif path.suffix.lower() == ".csv":
        columns = [f"feature_{index}" for index in range(features.shape[1])]
        # one row's text at a time
        rows = ([name, *map(str, row)] for name, row in zip(names, features, strict=True))
        _save_csv(path, ["path", *columns], rows)
    else:
        _save_csv(path.with_suffix(_NAMES), ["path"], ([name] for name in names))
        with replacing(path) as temporary, temporary.open("wb") as stream:
            np.save(stream, features)


def _save_parquet(
    path: Path,
    names: list[str],
    features: Float32[np.ndarray, "images dim"],
    metadata: dict[str, str],
) -> None:
    lists = pa.FixedSizeListArray.from_arrays(pa.array(features.ravel()), features.shape[1])
    table = pa.table({"path": pa.array(names, pa.string()), "features": lists})
    with replacing(path) as temporary:
        pq.write_table(table.replace_schema_metadata(metadata), temporary)


def _save_csv(path: Path, columns: list[str], rows: Iterable[list[str]]) -> None:
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        # in quotes, since a name may hold a carriage return
        quoting = csv.writer(stream, lineterminator="\n", quoting=csv.QUOTE_ALL)
        writer.writerow(columns)
        for row in rows:
            (quoting if "\r" in row[0] else writer).writerow(row)
