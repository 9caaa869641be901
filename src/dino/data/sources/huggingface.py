"""Any image data set in Hugging Face's formats, from the hub or from a folder."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dino.core.configuration.dataset import HuggingfaceConfig
from dino.core.errors import DataError
from dino.data.decoding import UnreadableImageError
from dino.data.source import Source, SourceImage, SourceSplit
from dino.data.sources.labels import named_classes, numbered
from dino.data.sources.segmentations import mask_of_bytes
from dino.data.sources.split_names import split_called

if TYPE_CHECKING:
    from datasets import Dataset


def huggingface(path: Path | None, config: HuggingfaceConfig, downloads: Path) -> Source:
    """The data set called `config.name` on the hub; or the one in the folder `path`.

    The folder holds what `Dataset.save_to_disk` wrote, or files that `load_dataset` reads, such as
    the hub's Parquet files (data/train-00000-of-00294.parquet). Images stay encoded. Raises
    `DataError` for a data set that cannot be had, and a split or column that it lacks.
    """
    splits = _loaded(path, config, downloads)
    title = str(path or config.name)
    if path is not None and path.is_dir():
        _check_folders(path, splits)
    train = _split(splits, config.train_split, config, title)
    classes = _classes(splits[config.train_split], config, title)

    def other(name: str | None) -> SourceSplit | None:
        return None if name is None else _split(splits, name, config, title)

    return Source(
        classes=classes,
        train=train,
        val=other(config.val_split),
        test=other(config.test_split),
        mask_kind=None if config.mask_column is None else f"objects of {config.mask_column}",
    )


def _loaded(path: Path | None, config: HuggingfaceConfig, downloads: Path) -> Any:
    import datasets

    try:
        if path is not None and (path / "dataset_dict.json").is_file():
            return datasets.load_from_disk(str(path))
        return datasets.load_dataset(
            str(path or config.name),
            config.subset,
            revision=config.revision if path is None else None,
            cache_dir=str(downloads / "huggingface"),
        )
    # the hub's client raises errors of any type, most of them when there is no network
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError(
            f"{path or config.name}: Hugging Face's datasets cannot load it ({reason}); correct "
            "huggingface, or set path in params.yaml to a folder with its files"
        ) from None


def _check_folders(path: Path, splits: Any) -> None:
    """Raise `DataError` for a split's folder that datasets has made a part of another split.

    It knows the names in small letters alone.
    """
    known = {split_called(name) for name in splits}
    for folder in sorted(entry.name for entry in path.iterdir() if entry.is_dir()):
        split = split_called(folder)
        if split is not None and split not in known:
            raise DataError(
                f"{path}: Hugging Face's datasets take {folder}/ for no split, and mix its images "
                "into another; call the folders train, validation and test"
            )


def _split(splits: Any, name: str, config: HuggingfaceConfig, title: str) -> SourceSplit:
    import datasets

    if name not in splits:
        raise DataError(
            f"{title}: expected a split {name!r}, found {', '.join(splits)}; correct "
            "huggingface's train_split, val_split and test_split (null: hold some out)"
        )
    split: Dataset = splits[name]
    version = str(split._fingerprint)
    columns = [config.image_column]
    if config.mask_column is not None:
        columns.append(config.mask_column)
    for column in columns:
        _check_column(split, column, title)
        split = split.cast_column(column, datasets.Image(decode=False))
    split = split.with_format(None)
    labels = np.full(len(split), -1, dtype=np.int64)
    if config.label_column is not None:
        _check_column(split, config.label_column, title)
        column, train = config.label_column, splits[config.train_split]
        labels = _numbered(split, column, train, title)

    def read(index: int) -> SourceImage:
        row = split[index]
        encoded = _bytes(row[config.image_column])
        return SourceImage(
            encoded=encoded,
            sha256=hashlib.sha256(encoded).hexdigest(),
            mask=(
                mask_of_bytes(_bytes(row[config.mask_column]))
                if config.mask_column is not None and row[config.mask_column] is not None
                else None
            ),
        )

    return SourceSplit(
        ids=[f"{name}/{index:07d}" for index in range(len(split))],
        labels=labels,
        read=read,
        version=version,
    )


def _bytes(image: dict[str, Any] | None) -> bytes:
    if image is None:
        raise UnreadableImageError("its row holds no image")
    encoded: bytes | None = image["bytes"]
    return Path(image["path"]).read_bytes() if encoded is None else encoded


def _classes(train: "Dataset", config: HuggingfaceConfig, title: str) -> tuple[str, ...]:
    import datasets

    if config.label_column is None:
        return ()
    feature = train.features[config.label_column]
    if isinstance(feature, datasets.ClassLabel):
        return tuple(feature.names)
    column = config.label_column
    return tuple(str(value) for value in _values(train, column, title))


def _values(train: "Dataset", column: str, title: str) -> list[Any]:
    named = named_classes(_cells(train, column), f"{title}, column {column!r}")
    return sorted({value for value in named if value is not None})


def _cells(split: "Dataset", column: str) -> list[Any]:
    if split._indices is None:
        return list(split.data.column(column).to_pylist())
    return list(split[column][:])


def _numbered(split: "Dataset", column: str, train: "Dataset", title: str) -> np.ndarray:
    """The class index of each row; -1 where there is no label, or one that `train` lacks."""
    import datasets

    cells, feature = _cells(split, column), split.features[column]
    if isinstance(feature, datasets.ClassLabel):
        classes: Sequence[Any] = range(feature.num_classes)
    else:
        classes = _values(train, column, title)
    named = named_classes(cells, f"{title}, column {column!r}")
    return np.array(numbered(named, classes), dtype=np.int64)


def _check_column(split: "Dataset", column: str, title: str) -> None:
    if column not in split.column_names:
        raise DataError(
            f"{title}: expected a column {column!r}, found {', '.join(split.column_names)}; "
            "correct huggingface's image_column, label_column and mask_column"
        )
