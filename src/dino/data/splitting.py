"""Which image of a source goes to which split."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np
from jaxtyping import Int64
from sklearn.model_selection import train_test_split

from dino.core.configuration.dataset import DatasetConfig
from dino.core.errors import DataError, some_of
from dino.core.seeding import Purpose, stream
from dino.data.dataset import Split
from dino.data.source import Source, SourceSplit


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """Which images of a part of the source go to a split."""

    split: Split
    source: SourceSplit
    chosen: Int64[np.ndarray, " images"]


def assigned(source: Source, config: DatasetConfig) -> list[Assignment]:
    """The images of train, val and test, in this order.

    Splits that the source has stay as they are. Others are held out of its training images,
    stratified by class, of the labelled ones where only some are. Raises `DataError` when there
    are not enough.
    """
    labels = source.train.labels
    train = usable(source.train)
    test_source, val_source = source.test or source.train, source.val or source.train
    if source.test is not None:
        if config.test_images is not None:
            raise DataError(
                "test_images: expected null, since this source has a test split, got "
                f"{config.test_images}; max_test_images limits it"
            )
        test = usable(source.test)
    elif config.test_images is None:
        raise DataError(
            f"test_images: {config.source} has no test split here; say how many of its "
            f"{len(train)} images to hold out"
        )
    else:
        train, test = _hold_out(labels, train, "test_images", config.test_images, config.seed + 1)
    if source.val is not None:
        val = usable(source.val)
    else:
        train, val = _hold_out(labels, train, "val_images", config.val_images, config.seed)
    train = train[_at_most(config.max_train_images, labels[train], config.seed)]
    test = test[_at_most(config.max_test_images, test_source.labels[test], config.seed)]
    chosen = dict(
        zip(
            get_args(Split),
            ((source.train, train), (val_source, val), (test_source, test)),
            strict=True,
        )
    )
    for split, (_, images) in chosen.items():
        if len(images) == 0:
            raise DataError(f"the {split} split has no image; add some")
    return [
        Assignment(split=split, source=part, chosen=np.sort(images))
        for split, (part, images) in chosen.items()
    ]


def usable(part: SourceSplit) -> Int64[np.ndarray, " images"]:
    """The positions in a part of a source that may be drawn."""
    return np.setdiff1d(np.arange(len(part)), np.array(list(part.unusable), dtype=np.int64))


def checked_assignments(source: Source, config: DatasetConfig) -> list[Assignment]:
    """`assigned`, and all that can be known of its images before the first of them is read.

    Raises `DataError` for a class without an image in a split, a split of which no file can be
    read, and images that `config.storage` cannot refer to.
    """
    assignments = assigned(source, config)
    for assignment in assignments:
        labels = assignment.source.labels[assignment.chosen]
        check_classes(assignment.split, labels, source.classes)
        _check_files(source, assignment)
        if config.storage == "index" and (source.root is None or assignment.source.paths is None):
            raise DataError(
                f"storage: expected copy or pack, since the images of {config.source} are "
                "no files of their own, got index"
            )
    return assignments


def _check_files(source: Source, assignment: Assignment) -> None:
    root, paths = source.root, assignment.source.paths
    if root is None or paths is None:
        return
    files = (root / paths[position] for position in assignment.chosen.tolist())
    # the first that is good ends the search
    if not any(file.is_file() and os.access(file, os.R_OK) for file in files):
        raise DataError(
            f"none of the {len(assignment.chosen)} {assignment.split} images in {root} is "
            f"a file that can be read; the first is {paths[int(assignment.chosen[0])]}"
        )


def _hold_out(
    labels: Int64[np.ndarray, " images"],
    images: Int64[np.ndarray, " candidates"],
    key: str,
    count: int,
    seed: int,
) -> tuple[Int64[np.ndarray, " rest"], Int64[np.ndarray, " held_out"]]:
    """`count` of `images` are held out; the rest comes first."""
    labelled = images[labels[images] >= 0]
    candidates = labelled if len(labelled) else images
    if count >= len(candidates):
        raise DataError(
            f"{key}: expected fewer than the {len(candidates)} training images, got {count}"
        )
    rest, held_out = stratified(labels[candidates], len(candidates) - count, seed)
    unlabelled = np.setdiff1d(images, candidates)
    return np.concatenate([candidates[rest], unlabelled]), candidates[held_out]


def _at_most(
    most: int | None, labels: Int64[np.ndarray, " images"], seed: int
) -> Int64[np.ndarray, " chosen"]:
    if most is None or most >= len(labels):
        return np.arange(len(labels))
    return stratified(labels, most, seed)[0]


def stratified(
    labels: Int64[np.ndarray, " images"], count: int, seed: int
) -> tuple[Int64[np.ndarray, " chosen"], Int64[np.ndarray, " rest"]]:
    """The indices of `count` images, drawn so that each class keeps its share, and of the others.

    They are scikit-learn's choice where it makes one; what it refuses (on a side fewer images
    than classes, a class with a single image) is drawn here.
    """
    rest = len(labels) - count
    images_of_class = np.unique(labels, return_counts=True)[1]
    if min(count, rest) < len(images_of_class) or images_of_class.min() < 2:
        return _largest_remainders(labels, count, seed)
    chosen, others = train_test_split(
        np.arange(len(labels)),
        train_size=count,
        test_size=rest,
        stratify=labels,
        random_state=seed,
    )
    return chosen, others


def _largest_remainders(
    labels: Int64[np.ndarray, " images"], count: int, seed: int
) -> tuple[Int64[np.ndarray, " chosen"], Int64[np.ndarray, " rest"]]:
    order = stream(Purpose.SPLIT, seed).permutation(len(labels))
    values, counts = np.unique(labels, return_counts=True)
    shares = counts * count / len(labels)
    quotas = np.floor(shares).astype(np.int64)
    # equal remainders go to the first classes
    quotas[np.argsort(quotas - shares, kind="stable")[: count - quotas.sum()]] += 1
    of_class = {value: order[labels[order] == value] for value in values}
    taken = [of_class[value][:quota] for value, quota in zip(values, quotas, strict=True)]
    chosen = np.sort(np.concatenate(taken))
    return chosen, np.setdiff1d(order, chosen)


def check_classes(split: str, labels: Int64[np.ndarray, " images"], classes: Sequence[str]) -> None:
    """Raise `DataError` unless `labels`, those of a split, hold every class."""
    counts = np.bincount(labels[labels >= 0], minlength=len(classes))
    empty = [name for name, count in zip(classes, counts, strict=True) if count == 0]
    if empty:
        raise DataError(
            f"expected images of every class in the {split} split, "
            f"got none of {some_of(empty)}; add some or raise the limits"
        )
