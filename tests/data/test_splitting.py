import dataclasses

import numpy as np
import pytest

from dino.core.configuration.dataset import DatasetConfig
from dino.core.errors import DataError
from dino.data.source import Source, SourceSplit, image_of_pixels
from dino.data.sources.digits import digits
from dino.data.splitting import assigned, stratified

CONFIG = DatasetConfig(source="digits", val_images=20)


def _split(labels):
    labels = np.array(labels, dtype=np.int64)
    pixels = np.zeros((2, 2), dtype=np.uint8)
    return SourceSplit(
        ids=[str(index) for index in range(len(labels))],
        labels=labels,
        read=lambda _: image_of_pixels(pixels),
    )


def _source(train, test=None, val=None):
    return Source(
        classes=("a", "b"),
        train=_split(train),
        val=None if val is None else _split(val),
        test=None if test is None else _split(test),
        mask_kind=None,
    )


@pytest.mark.parametrize("missing", range(1, 11))
def test_any_limit_on_training_images_is_possible(missing):
    config = dataclasses.replace(CONFIG, max_train_images=1417 - missing)
    train, _, _ = assigned(digits(), config)
    assert len(train.chosen) == 1417 - missing
    assert len(np.unique(digits().train.labels[train.chosen])) == 10


@pytest.mark.parametrize("count", [1, 3, 49, 50, 98, 99])
def test_what_scikit_learn_refuses_keeps_the_shares_too(count):
    labels = np.repeat([0, 1, 2], [60, 39, 1])
    chosen, rest = stratified(labels, count, seed=0)
    assert sorted(np.concatenate([chosen, rest])) == list(range(100))
    counts = np.bincount(labels[chosen], minlength=3)
    assert (np.abs(counts - np.array([60, 39, 1]) * count / 100) < 1).all()


def test_the_sources_own_splits_stay_as_they_are():
    train, val, test = assigned(_source([0, 1] * 10, test=[1, 0], val=[0, 1, 1]), CONFIG)
    assert [len(part.chosen) for part in (train, val, test)] == [20, 3, 2]
    assert val.source.labels.tolist() == [0, 1, 1]


def test_test_images_are_held_out_where_there_are_none():
    config = dataclasses.replace(CONFIG, val_images=6, test_images=4)
    train, val, test = assigned(_source([0, 1] * 10), config)
    assert [len(part.chosen) for part in (train, val, test)] == [10, 6, 4]
    everything = np.concatenate([train.chosen, val.chosen, test.chosen])
    assert sorted(everything) == list(range(20))
    for part in (train, val, test):
        assert np.bincount(part.source.labels[part.chosen]).tolist() == [len(part.chosen) // 2] * 2


def test_labelled_images_are_held_out_where_there_are_some():
    config = dataclasses.replace(CONFIG, val_images=4)
    train, val, _ = assigned(_source([0, 1] * 10 + [-1] * 100, test=[0, 1]), config)
    assert (val.source.labels[val.chosen] >= 0).all()
    assert len(train.chosen) == 116
    assert (train.source.labels[train.chosen] < 0).sum() == 100


@pytest.mark.parametrize(
    ("source", "changes", "message"),
    [
        (_source([0, 1]), {}, r"test_images: digits has no test split here"),
        (_source([0, 1], [0]), {"test_images": 1}, "expected null, since this source has a test"),
        (_source([0, 1], [0, 1]), {}, "val_images: expected fewer than the 2 training"),
        (_source([0, 1], []), {"val_images": 1}, "the test split has no image"),
    ],
)
def test_what_cannot_be_split_is_said(source, changes, message):
    with pytest.raises(DataError, match=message):
        assigned(source, dataclasses.replace(CONFIG, **changes))
