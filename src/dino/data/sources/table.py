"""A manifest of the user's own: a CSV or Parquet file with a row for each image."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dino.core.configuration.dataset import ColumnsConfig
from dino.core.errors import DataError
from dino.data.source import Source
from dino.data.sources.files import ImageFile, split_of_files
from dino.data.sources.labels import UNLABELLED, named_classes, numbered
from dino.data.sources.segmentations import mask_file
from dino.data.sources.table_annotations import annotations_in

SPLITS = ("train", "val", "test")


def manifest(path: Path, columns: ColumnsConfig) -> Source:
    """The images that the rows of `path` name, relative to its folder.

    Raises `DataError` for a file that is no table, a column or path that is missing, a path that
    is there twice, a split other than train, val and test, and annotations that are none.
    """
    table = _table(path)
    if columns.path not in table:
        raise DataError(
            f"{path}: expected a column {columns.path!r} with the images' files, found "
            f"{', '.join(map(str, table.columns)) or 'none'}; correct columns"
        )
    paths = table[columns.path]
    if paths.isna().any():
        raise DataError(f"{path}: row {int(paths.isna().argmax()) + 1} has no {columns.path}")
    if paths.duplicated().any():
        raise DataError(f"{path}: {paths[paths.duplicated()].iloc[0]} is there more than once")
    splits = table.get(columns.split, pd.Series("train", index=table.index)).fillna("train")
    unknown = sorted(set(splits) - set(SPLITS))
    if unknown:
        raise DataError(
            f"{path}: expected train, val or test in column {columns.split!r}, got {unknown[0]!r}"
        )
    classes, labels = _labels(table, columns.label, f"{path}, column {columns.label!r}")
    annotations = annotations_in(table, columns, str(path))
    masks = table.get(columns.mask, pd.Series(np.nan, index=table.index))
    files = [
        ImageFile(
            path=str(file),
            label=label,
            mask=_mask_reader(path.parent, mask),
            # a function that gives them, as for annotations in files of their own
            annotations=partial(replace, said),
        )
        for file, label, mask, said in zip(paths, labels, masks, annotations, strict=True)
    ]
    by_split = {
        split: split_of_files(
            path.parent, [file for file, s in zip(files, splits, strict=True) if s == split]
        )
        for split in SPLITS
    }
    return Source(
        classes=classes,
        train=by_split["train"],
        val=by_split["val"] if len(by_split["val"]) else None,
        test=by_split["test"] if len(by_split["test"]) else None,
        mask_kind=None if masks.isna().all() else "objects of the manifest's masks",
        root=path.parent,
    )


def _mask_reader(folder: Path, cell: Any) -> Callable[[], bytes] | None:
    if pd.isna(cell) or not str(cell).strip():
        return None
    return partial(mask_file, folder / str(cell))


def _labels(table: pd.DataFrame, column: str, title: str) -> tuple[tuple[str, ...], list[int]]:
    if column not in table:
        return (), [UNLABELLED] * len(table)
    values = table[column]
    if pd.api.types.is_float_dtype(values) and (values.dropna() % 1 == 0).all():
        # integers, beside which empty cells were
        values = values.astype("Int64")
    named = named_classes(values, title)
    known = sorted({value for value in named if value is not None}, key=_order)
    return tuple(str(value) for value in known), numbered(named, known)


def _order(name: object) -> tuple[int, str]:
    """Numbers in their order, before names in theirs."""
    text = str(name)
    return (int(text), "") if text.isdecimal() else (2**63, text)


def _table(path: Path) -> pd.DataFrame:
    try:
        if path.suffix.lower() == ".parquet":
            table = pd.read_parquet(path)
        else:
            # NA is a name, perhaps of a country
            table = pd.read_csv(
                path,
                dtype=str,
                keep_default_na=False,
                na_values=[""],
                sep="\t" if path.suffix.lower() == ".tsv" else ",",
                encoding="utf-8-sig",
            )
    except FileNotFoundError:
        raise DataError(f"{path}: not found; correct path in params.yaml") from None
    except (OSError, ValueError, pd.errors.ParserError) as error:
        reason = " ".join(str(error).split())
        raise DataError(
            f"{path}: cannot be read as a table of images ({reason}); expected CSV or Parquet"
        ) from None
    return table
