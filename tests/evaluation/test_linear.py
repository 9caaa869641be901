import math
from dataclasses import replace

import pytest
import torch

from dino.core.configuration.linear import LinearConfig
from dino.core.errors import ConfigurationError
from dino.evaluation.linear import (
    LinearTraining,
    classifier_input,
    initial_classifier,
    linear,
    validate,
)
from dino.features.labelled_splits import LabelledFeatures, LabelledSplits


def _separable(images: int, seed: int) -> LabelledFeatures:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(images) % 3
    noise = 0.1 * torch.randn(images, 4, generator=generator)
    return LabelledFeatures(features=torch.eye(3, 4)[labels] + noise, labels=labels)


@pytest.fixture
def splits() -> LabelledSplits:
    return LabelledSplits(
        train=_separable(50, 0), val=_separable(20, 1), test=_separable(30, 2), classes=3
    )


CONFIG = LinearConfig(epochs=6, batch_size=16, learning_rates=(2.0,))


def test_separable_classes_are_separated(splits: LabelledSplits) -> None:
    result = linear(splits, CONFIG)
    assert result.last.test_top1 == 100
    assert len(result.curve) == 6
    assert result.curve[-1].train_loss < result.curve[0].train_loss


def test_last_and_best_on_val_are_two_points_of_one_training(splits: LabelledSplits) -> None:
    result = linear(splits, CONFIG)
    tops = [epoch.val_top1 for epoch in result.curve]
    assert result.last.epoch == 6
    assert result.last.val_top1 == tops[-1]
    assert result.best_on_val.val_top1 == max(tops)
    assert result.best_on_val.epoch == tops.index(max(tops)) + 1


def test_a_seed_gives_one_result(splits: LabelledSplits) -> None:
    assert linear(splits, CONFIG) == linear(splits, CONFIG)
    assert linear(splits, CONFIG).curve != linear(splits, replace(CONFIG, seed=1)).curve


def test_the_global_generator_is_left_alone(splits: LabelledSplits) -> None:
    torch.manual_seed(0)
    first = linear(splits, CONFIG)
    torch.manual_seed(1)
    assert linear(splits, CONFIG) == first


def test_test_labels_choose_nothing(splits: LabelledSplits) -> None:
    shuffled = replace(splits.test, labels=splits.test.labels.roll(1))
    other = linear(replace(splits, test=shuffled), CONFIG)
    assert other.curve == linear(splits, CONFIG).curve
    assert other.last.test_top1 == 0


def test_the_learning_rate_is_a_cosine_per_epoch() -> None:
    classifier = initial_classifier(2, 2, torch.Generator().manual_seed(0))
    training = LinearTraining(classifier, learning_rates=(0.1, 0.3), batch_size=512, epochs=4)
    rates = []
    for _ in range(4):
        rates.append(training.current_learning_rates)
        training.step(torch.ones(1, 2), torch.tensor([0]))
        training.end_epoch()
    cosine = [1 + math.cos(math.pi * e / 4) for e in range(4)]
    assert [rate for rate, _ in rates] == pytest.approx([0.1 * c for c in cosine])
    assert [rate for _, rate in rates] == pytest.approx([0.3 * c for c in cosine])
    assert training.current_learning_rates == pytest.approx([0, 0])


def test_learning_rates_trained_at_once_are_as_if_trained_alone(splits: LabelledSplits) -> None:
    rates = (0.001, 2.0, 0.05)
    together = linear(splits, replace(CONFIG, learning_rates=rates))
    alone = [linear(splits, replace(CONFIG, learning_rates=(rate,))) for rate in rates]
    assert [r.val_top1 for r in together.learning_rates] == [a.last.val_top1 for a in alone]
    chosen = max(alone, key=lambda a: a.last.val_top1)
    assert together.learning_rate == chosen.learning_rate
    assert together.last == chosen.last
    losses = [[e.train_loss for e in result.curve] for result in (together, chosen)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_a_classifier_that_overflowed_knows_nothing() -> None:
    classifier = torch.nn.Linear(4, 3)
    torch.nn.init.constant_(classifier.weight, math.nan)
    scores = validate(classifier, _separable(10, 0), 4)
    # of equal scores the lowest class ranks first
    assert (scores.top1, math.isnan(scores.loss)) == (40, True)


def test_an_accuracy_has_its_interval(splits: LabelledSplits) -> None:
    assert linear(splits, CONFIG).last.test_top1_interval == (100, 100)


def test_a_zero_classifier_costs_the_log_of_the_classes() -> None:
    classifier = torch.nn.Linear(4, 3)
    torch.nn.init.zeros_(classifier.weight)
    torch.nn.init.zeros_(classifier.bias)
    scores = validate(classifier, _separable(10, 0), 4)
    assert scores.loss == pytest.approx(math.log(3))
    assert (scores.top1, scores.top5) == (40, 100)


def test_cls_tokens_are_concatenated_oldest_block_first() -> None:
    cls_tokens = torch.arange(12.0).view(2, 2, 3)
    features = classifier_input(cls_tokens, torch.zeros(2, 3), average_pool=False)
    assert features.tolist() == [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11]]


def test_average_pooling_needs_one_block() -> None:
    with pytest.raises(ConfigurationError, match=r"expected features.last_blocks 1 .*, got 2"):
        classifier_input(torch.zeros(2, 2, 3), torch.zeros(2, 3), average_pool=True)
