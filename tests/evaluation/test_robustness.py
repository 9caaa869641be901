from dataclasses import replace

import numpy as np
import pytest
import torch

from dino.core.configuration.features import FeaturesConfig
from dino.core.configuration.robustness import RobustnessConfig
from dino.core.errors import DataError
from dino.data.corruptions import CORRUPTIONS, corrupted
from dino.data.dataset import PreparedDataset
from dino.evaluation.baselines import raw_pixel_robustness, raw_pixels
from dino.evaluation.corrupted_images import CorruptedImages, robustness_of_features
from dino.evaluation.knn import knn_accuracies
from dino.evaluation.robustness import robustness
from dino.features.frozen_backbone import FrozenBackbone
from dino.features.global_features import extract_features

CONFIG = RobustnessConfig(images=20, neighbours=5)
FEATURES = FeaturesConfig(resize_px=8, crop_px=8, last_blocks=1)


def test_rows_are_all_images_clean_then_in_each_condition(dataset: PreparedDataset) -> None:
    images = CorruptedImages(dataset, CONFIG)
    assert len(images) == 16 * 20
    assert len(set(images.indices.tolist())) == 20
    assert set(images.indices.tolist()) <= set(dataset.indices("test").tolist())
    index = int(images.indices[3])
    assert np.array_equal(images[3], dataset.image(index))
    # the second severity of the first corruption
    expected = corrupted(dataset.image(index), CORRUPTIONS[0], 2, 0, index)
    assert np.array_equal(images[2 * 20 + 3], expected)


def test_more_images_than_there_are_means_all(dataset: PreparedDataset) -> None:
    images = CorruptedImages(dataset, RobustnessConfig(images=999))
    assert images.indices.tolist() == dataset.indices("test").tolist()


def test_clean_accuracy_is_that_of_knn(dataset: PreparedDataset) -> None:
    clean = raw_pixels(dataset)
    config = RobustnessConfig(images=999, neighbours=5)
    result = raw_pixel_robustness(clean, CorruptedImages(dataset, config), config)
    train, test = (torch.from_numpy(dataset.indices(split)) for split in ("train", "test"))
    labels = torch.from_numpy(dataset.manifest["label"].to_numpy(dtype=np.int64).copy())
    expected = knn_accuracies(
        bank=clean[train],
        bank_labels=labels[train],
        queries=clean[test],
        query_labels=labels[test],
        neighbours=(5,),
        temperature=0.07,
        classes=10,
    )
    assert result.clean.top1 == expected[5].top1


def test_the_mean_is_of_all_fifteen_and_the_drop_is_from_clean(dataset: PreparedDataset) -> None:
    result = raw_pixel_robustness(raw_pixels(dataset), CorruptedImages(dataset, CONFIG), CONFIG)
    everything = [t.top1 for severities in result.corruptions.values() for t in severities.values()]
    assert len(everything) == 15
    assert result.mean.top1 == pytest.approx(np.mean(everything))
    assert result.mean.top1_interval is not None
    low, high = result.mean.top1_interval
    assert low < result.mean.top1 < high
    expected = 100 * (1 - result.mean.top1 / result.clean.top1)
    assert result.relative_drop == pytest.approx(expected)


def test_without_one_right_answer_there_is_no_drop(dataset: PreparedDataset) -> None:
    images = CorruptedImages(dataset, CONFIG)
    labels = dataset.manifest["label"].to_numpy()
    features = torch.nn.functional.one_hot(torch.from_numpy(labels.copy()), 10).float()
    wrong = features[torch.from_numpy(np.tile(images.indices, 16))].roll(1, dims=1)
    result = robustness_of_features(wrong, images, features, CONFIG)
    assert (result.clean.top1, result.mean.top1, result.relative_drop) == (0.0, 0.0, None)


def test_backbones_give_the_same_numbers_twice(
    dataset: PreparedDataset, backbone: FrozenBackbone
) -> None:
    features = extract_features({"a": backbone}, {"a": "sha"}, dataset, FEATURES)["a"]
    clean = {"a": features.cls_tokens[:, -1]}
    images = CorruptedImages(dataset, CONFIG)
    first = robustness({"a": backbone}, clean, images, FEATURES, CONFIG)
    assert first == robustness({"a": backbone}, clean, images, FEATURES, CONFIG)
    assert set(first["a"].corruptions) == set(CORRUPTIONS)


def test_an_unlabelled_image_is_refused(dataset: PreparedDataset) -> None:
    manifest = dataset.manifest.assign(label=-1)
    with pytest.raises(DataError, match="test images have no label"):
        CorruptedImages(replace(dataset, manifest=manifest), CONFIG)
