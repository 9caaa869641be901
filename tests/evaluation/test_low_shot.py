import numpy as np
import pytest
import torch

from dino.core.configuration.low_shot import LowShotConfig
from dino.core.errors import ConfigurationError
from dino.evaluation.low_shot import drawn_images, low_shot
from dino.features.labelled_splits import LabelledFeatures, LabelledSplits

LABELS = np.repeat(np.arange(3), (100, 50, 4))
CONFIG = LowShotConfig(fractions=(0.1, 0.5), draws=3)


def _split(images: int, seed: int, classes: int = 3, noise: float = 0.5) -> LabelledFeatures:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(images) % classes
    features = torch.eye(3, 8)[labels] + noise * torch.randn(images, 8, generator=generator)
    return LabelledFeatures(features=features, labels=labels)


def _splits(classes: int = 3, noise: float = 0.5) -> LabelledSplits:
    train, val, test = (_split(n, seed, classes, noise) for seed, n in enumerate((300, 30, 90)))
    return LabelledSplits(train=train, val=val, test=test, classes=classes)


def test_a_draw_has_its_share_of_each_class_and_one_image_at_least() -> None:
    drawn = drawn_images(LABELS, 0.1, seed=0, draw=0)
    assert np.bincount(LABELS[drawn]).tolist() == [10, 5, 1]
    assert len(set(drawn.tolist())) == len(drawn)


def test_draws_differ_and_are_reproduced() -> None:
    first, again = (drawn_images(LABELS, 0.1, seed=0, draw=0) for _ in range(2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, drawn_images(LABELS, 0.1, seed=0, draw=1))
    assert not np.array_equal(first, drawn_images(LABELS, 0.1, seed=1, draw=0))


def test_a_smaller_share_is_part_of_a_larger_one() -> None:
    small, large = (drawn_images(LABELS, share, seed=0, draw=2) for share in (0.1, 0.5))
    assert set(small) < set(large)


def test_mean_and_deviation_are_over_the_draws() -> None:
    shares = low_shot(_splits(), CONFIG).shares
    assert [share.fraction for share in shares] == [0.1, 0.5]
    for share, images in zip(shares, (30, 150), strict=True):
        scores = [draw.test_top1 for draw in share.draws]
        assert [draw.images for draw in share.draws] == [images] * 3
        assert share.test_top1 == pytest.approx(np.mean(scores))
        assert share.deviation == pytest.approx(np.std(scores, ddof=1))
        assert share.test_top1_interval is not None
        assert share.test_top1_interval[0] < share.test_top1 < share.test_top1_interval[1]


def test_separable_classes_are_separated_even_if_there_are_two() -> None:
    for classes in (2, 3):
        shares = low_shot(_splits(classes, noise=0.01), CONFIG).shares
        assert [share.test_top1 for share in shares] == [100, 100]


def test_one_class_is_known_without_learning() -> None:
    assert low_shot(_splits(classes=1), CONFIG).shares[0].test_top1 == 100


def test_one_draw_has_no_deviation() -> None:
    config = LowShotConfig(fractions=(0.1,), draws=1)
    assert low_shot(_splits(), config).shares[0].deviation is None


def test_a_solver_that_does_not_converge_is_an_error() -> None:
    config = LowShotConfig(max_iterations=1, inverse_penalty=1e4)
    with pytest.raises(ConfigurationError, match=r"low_shot\.max_iterations: 1 are too few"):
        low_shot(_splits(), config)
