import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from dino.core.configuration.dataset import DatasetConfig
from dino.core.configuration.finetune import FinetuneConfig
from dino.core.errors import ConfigurationError, DataError
from dino.data.dataset import PreparedDataset
from dino.data.labelled_images import (
    AugmentedImages,
    _policy_operations,
    _posterize,
    epoch_batches,
    stratified_subset,
)
from dino.data.preparation import prepare
from dino.data.sources.digits import digits

CONFIG = FinetuneConfig(crop_px=8, resize_px=8)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    folder: Path = tmp_path_factory.mktemp("prepared")
    config = DatasetConfig(source="digits", val_images=50, max_train_images=150, max_test_images=60)
    prepare(digits(), config, folder)
    return PreparedDataset.open(folder)


def test_a_subset_keeps_the_proportions_of_its_classes() -> None:
    labels = np.repeat([0, 1, 2], [600, 300, 100])
    chosen = stratified_subset(labels, 100, seed=0)
    assert np.bincount(labels[chosen]).tolist() == [60, 30, 10]
    assert (np.diff(chosen) > 0).all()


def test_a_larger_subset_holds_the_smaller_and_another_seed_another() -> None:
    labels = np.arange(200) % 10
    small, large = (set(stratified_subset(labels, count, seed=0)) for count in (40, 80))
    assert small < large
    assert small != set(stratified_subset(labels, 40, seed=1))
    assert len(stratified_subset(labels, 999, seed=0)) == 200


def test_an_unlabelled_image_is_refused(dataset: PreparedDataset) -> None:
    manifest = dataset.manifest.copy()
    manifest.loc[dataset.indices("val")[0], "label"] = -1
    with pytest.raises(DataError, match="1 of 50 val images have no label"):
        replace(dataset, manifest=manifest).labelled_indices("val")


def test_an_epoch_shows_each_image_at_most_once_in_whole_batches() -> None:
    images = np.arange(10, 33)
    batches = epoch_batches(images, 5, seed=0, epoch=3)
    assert [len(batch) for batch in batches] == [5, 5, 5, 5]
    keys = [key for batch in batches for key in batch]
    assert {epoch for epoch, _ in keys} == {3}
    assert len({image for _, image in keys}) == 20
    assert batches != epoch_batches(images, 5, seed=0, epoch=4)


def test_augmentation_depends_on_seed_epoch_and_image_alone(dataset: PreparedDataset) -> None:
    images = AugmentedImages(dataset, CONFIG)
    first, index = images[1, 7]
    torch.manual_seed(5)
    random.seed(5)
    _ = images[1, 8]
    again, _ = images[1, 7]
    assert index == 7 and first.shape == (3, 8, 8)
    assert torch.equal(first, again)
    assert not torch.equal(first, images[2, 7][0])
    other = AugmentedImages(dataset, replace(CONFIG, seed=1))
    assert not torch.equal(first, other[1, 7][0])


def test_workers_change_nothing(dataset: PreparedDataset) -> None:
    batches = epoch_batches(dataset.indices("train"), 10, seed=0, epoch=1)
    images = AugmentedImages(dataset, CONFIG)
    alone, by_two = (
        torch.cat([batch for batch, _ in DataLoader(images, batch_sampler=batches, num_workers=n)])
        for n in (0, 2)
    )
    assert torch.equal(alone, by_two)


def test_the_global_generators_are_left_alone(dataset: PreparedDataset) -> None:
    states = []
    for count in (0, 3):
        torch.manual_seed(0)
        random.seed(0)
        for epoch in range(count):
            AugmentedImages(dataset, CONFIG)[epoch, 0]
        states.append((torch.rand(3).tolist(), random.random()))
    assert states[0] == states[1]


def test_a_policy_that_timm_cannot_read_is_named(dataset: PreparedDataset) -> None:
    with pytest.raises(ConfigurationError, match=r"finetune\.auto_augment: timm cannot read"):
        AugmentedImages(dataset, replace(CONFIG, auto_augment="rand-z9"))


def test_posterizing_to_no_bits_gives_black(dataset: PreparedDataset) -> None:
    images = AugmentedImages(dataset, CONFIG)
    (operation,) = (op for op in _policy_operations(images._transform) if op.aug_fn is _posterize)
    grey = Image.new("RGB", (8, 8), (200, 100, 7))
    assert operation.aug_fn(grey, 0).getextrema() == ((0, 0),) * 3
    assert operation.aug_fn(grey, 8).getextrema() == grey.getextrema()
    assert operation.aug_fn(grey, 1).getextrema() == ((128, 128), (0, 0), (0, 0))
