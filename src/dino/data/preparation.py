"""From a source to the prepared data set: split, check, store."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from jaxtyping import Int64
from PIL import Image
from sklearn.model_selection import train_test_split
from tqdm import tqdm

from dino.core.artifacts import fingerprint, replacing, write_json
from dino.core.configuration.prepare import PrepareConfig
from dino.core.errors import DataError
from dino.data.dataset import DESCRIPTION, IMAGES, IMAGES_SCHEMA, MANIFEST
from dino.data.digits import digits
from dino.data.fashion_mnist import fashion_mnist
from dino.data.source import Source, SourceSplit

_ROWS_PER_BATCH = 1024


def open_source(config: PrepareConfig, downloads: Path) -> Source:
    """The source that params.yaml names."""
    if config.source == "digits":
        return digits()
    return fashion_mnist(Path(config.path) if config.path else None, downloads)


@dataclass(frozen=True, kw_only=True)
class _Assignment:
    """Which image of which part of the source goes to which split."""

    split: str
    source: SourceSplit
    chosen: Int64[np.ndarray, " images"]


def prepare(source: Source, config: PrepareConfig, folder: Path) -> dict[str, Any]:
    """Write `source` below `folder` and return its description (dataset.json).

    The official test split stays as it is; `val_images` of the training split are held out,
    stratified by class. Raises `DataError` for a split without images or a class without an
    image in it.
    """
    train, val = _hold_out(source.train.labels, config)
    test = _stratified(source.test.labels, config.max_test_images, config.seed)
    assignments = [
        _Assignment(split="train", source=source.train, chosen=train),
        _Assignment(split="val", source=source.train, chosen=val),
        _Assignment(split="test", source=source.test, chosen=test),
    ]
    for assignment in assignments:
        _check_classes(assignment, source.classes)
    rows: list[dict[str, Any]] = []
    with replacing(folder / IMAGES) as temporary:
        _store(temporary, assignments, source.classes, rows)
    manifest = pd.DataFrame(rows)
    with replacing(folder / MANIFEST) as temporary:
        manifest.to_parquet(temporary, index=False)
    description = _describe(source, config, manifest)
    write_json(folder / DESCRIPTION, description)
    return description


def _hold_out(
    labels: Int64[np.ndarray, " images"], config: PrepareConfig
) -> tuple[Int64[np.ndarray, " train"], Int64[np.ndarray, "val"]]:
    if config.val_images >= len(labels):
        raise DataError(
            f"prepare.val_images: expected fewer than the {len(labels)} training images, "
            f"got {config.val_images}"
        )
    try:
        train, val = train_test_split(
            np.arange(len(labels)),
            test_size=config.val_images,
            stratify=labels,
            random_state=config.seed,
        )
    except ValueError as error:
        raise DataError(f"prepare.val_images: cannot be stratified by class: {error}") from None
    train = train[_stratified(labels[train], config.max_train_images, config.seed)]
    return np.sort(train), np.sort(val)


def _stratified(
    labels: Int64[np.ndarray, " images"], most: int | None, seed: int
) -> Int64[np.ndarray, " chosen"]:
    everything = np.arange(len(labels))
    if most is None or most >= len(labels):
        return everything
    try:
        chosen, _ = train_test_split(
            everything, train_size=most, stratify=labels, random_state=seed
        )
    except ValueError as error:
        raise DataError(f"prepare: cannot keep {most} images of each class: {error}") from None
    return np.sort(chosen)


def _check_classes(assignment: _Assignment, classes: tuple[str, ...]) -> None:
    if len(assignment.chosen) == 0:
        raise DataError(f"prepare: the {assignment.split} split has no image; add some")
    counts = np.bincount(assignment.source.labels[assignment.chosen], minlength=len(classes))
    empty = [name for name, count in zip(classes, counts, strict=True) if count == 0]
    if empty:
        raise DataError(
            f"prepare: expected images of every class in the {assignment.split} split, "
            f"got none of {', '.join(empty)}; add some or raise prepare's limits"
        )


def _store(
    path: Path,
    assignments: list[_Assignment],
    classes: tuple[str, ...],
    rows: list[dict[str, Any]],
) -> None:
    """Write the images to `path` and append one manifest row each to `rows`."""
    total = sum(len(assignment.chosen) for assignment in assignments)
    batch: list[dict[str, bytes | None]] = []
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, IMAGES_SCHEMA) as writer:
        for row, image in tqdm(
            _images(assignments, classes), total=total, desc="prepare", unit="images"
        ):
            rows.append(row)
            batch.append(image)
            if len(batch) == _ROWS_PER_BATCH:
                writer.write_batch(pa.RecordBatch.from_pylist(batch, schema=IMAGES_SCHEMA))
                batch.clear()
        if batch:
            writer.write_batch(pa.RecordBatch.from_pylist(batch, schema=IMAGES_SCHEMA))


def _images(
    assignments: list[_Assignment], classes: tuple[str, ...]
) -> Iterator[tuple[dict[str, Any], dict[str, bytes | None]]]:
    for assignment in assignments:
        for position in assignment.chosen.tolist():
            item = assignment.source.read(position)
            label = int(assignment.source.labels[position])
            with Image.open(io.BytesIO(item.encoded)) as image:
                row = {
                    "id": assignment.source.ids[position],
                    "split": assignment.split,
                    "label": label,
                    "class_name": classes[label],
                    "width_px": image.width,
                    "height_px": image.height,
                    "channels": 1 if image.mode in ("1", "L") else 3,
                    "sha256": item.sha256,
                    "has_mask": item.mask is not None,
                }
            yield row, {"image": item.encoded, "mask": item.mask}


def _describe(source: Source, config: PrepareConfig, manifest: pd.DataFrame) -> dict[str, Any]:
    identity = manifest[["id", "split", "label", "sha256"]]
    sizes = manifest[["width_px", "height_px"]]
    return {
        "source": config.source,
        "classes": list(source.classes),
        "counts": {
            split: int((manifest["split"] == split).sum()) for split in ("train", "val", "test")
        },
        "mask_kind": source.mask_kind,
        "smallest_px": sizes.min().tolist(),
        "largest_px": sizes.max().tolist(),
        "fingerprint": fingerprint([list(source.classes), identity.to_numpy().tolist()]),
    }
