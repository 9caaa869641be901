import math

import pytest
import torch

from dino.core.configuration.knn import KnnConfig
from dino.evaluation import knn as module
from dino.evaluation.knn import KnnAccuracy, knn, knn_accuracies
from dino.features.labelled_splits import LabelledFeatures, LabelledSplits


def _random(
    classes: int = 12, bank: int = 80, queries: int = 37
) -> tuple[LabelledFeatures, LabelledFeatures]:
    generator = torch.Generator().manual_seed(0)

    def draw(images: int) -> LabelledFeatures:
        return LabelledFeatures(
            features=torch.randn(images, 5, generator=generator),
            labels=torch.randint(classes, (images,), generator=generator),
        )

    return draw(bank), draw(queries)


def _accuracies(
    bank: LabelledFeatures, queries: LabelledFeatures, neighbours: tuple[int, ...], classes: int
) -> dict[int, KnnAccuracy]:
    return knn_accuracies(
        bank=bank.features,
        bank_labels=bank.labels,
        queries=queries.features,
        query_labels=queries.labels,
        neighbours=neighbours,
        temperature=0.07,
        classes=classes,
    )


def test_accuracies_are_those_of_a_naive_loop() -> None:
    bank, queries = _random()
    accuracies = _accuracies(bank, queries, (3, 20), 12)
    for k in (3, 20):
        first = among_five = 0
        for feature, label in zip(queries.features, queries.labels.tolist(), strict=True):
            cosine = torch.nn.functional.cosine_similarity(bank.features, feature[None])
            votes = dict.fromkeys(range(12), 0.0)
            for index in cosine.argsort(descending=True)[:k].tolist():
                votes[int(bank.labels[index])] += math.exp(cosine[index].item() / 0.07)
            ranking = sorted(votes, key=lambda c: -votes[c])
            first += ranking[0] == label
            among_five += label in ranking[: min(5, k)]
        assert accuracies[k].top1 == pytest.approx(100 * first / 37)
        assert accuracies[k].top5 == pytest.approx(100 * among_five / 37)


def test_blocks_of_votes_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    bank, queries = _random()
    whole = _accuracies(bank, queries, (5,), 12)
    monkeypatch.setattr(module, "_BLOCK_VOTES", 12 * 4)
    assert _accuracies(bank, queries, (5,), 12) == whole


def test_more_neighbours_than_images_means_all_of_them() -> None:
    bank, queries = _random(bank=7)
    accuracies = _accuracies(bank, queries, (7, 200), 12)
    assert accuracies[200] == accuracies[7]


def test_with_fewer_than_five_classes_top5_is_everything() -> None:
    bank, queries = _random(classes=3)
    assert _accuracies(bank, queries, (10,), 3)[10].top5 == 100


def test_an_image_is_its_own_nearest_neighbour() -> None:
    bank, _ = _random()
    assert _accuracies(bank, bank, (1,), 12)[1] == KnnAccuracy(
        top1=100.0, top5=100.0, top1_interval=(100.0, 100.0), top5_interval=(100.0, 100.0)
    )


def test_val_and_test_are_classified_by_train() -> None:
    train, other = _random()
    splits = LabelledSplits(train=train, val=train, test=other, classes=12)
    result = knn(splits, KnnConfig(neighbours=(1,), headline=1))
    assert result.val[1].top1 == 100
    assert result.test == _accuracies(train, other, (1,), 12)


def test_leaving_one_out_is_a_bank_without_the_image() -> None:
    train, _ = _random(bank=30)
    # equal features, which are each other's nearest
    train.features[7] = train.features[3]
    config = KnnConfig(neighbours=(1, 4), headline=1, leave_one_out=True)
    splits = LabelledSplits(train=train, val=train, test=train, classes=12)
    result = knn(splits, config).leave_one_out
    assert result is not None
    right = dict.fromkeys(config.neighbours, 0.0)
    for image in range(30):
        others = torch.arange(30) != image
        bank = LabelledFeatures(features=train.features[others], labels=train.labels[others])
        one = LabelledFeatures(
            features=train.features[image][None], labels=train.labels[image][None]
        )
        for k, accuracy in _accuracies(bank, one, config.neighbours, 12).items():
            right[k] += accuracy.top1
    assert {k: a.top1 for k, a in result.items()} == pytest.approx(
        {k: total / 30 for k, total in right.items()}
    )


def test_an_image_with_many_equals_is_classified_by_others() -> None:
    features = torch.ones(9, 4)
    equals = LabelledFeatures(features=features, labels=torch.zeros(9, dtype=torch.int64))
    splits = LabelledSplits(train=equals, val=equals, test=equals, classes=2)
    config = KnnConfig(neighbours=(2,), headline=2, leave_one_out=True)
    result = knn(splits, config).leave_one_out
    assert result is not None and result[2].top1 == 100


def test_an_accuracy_has_its_interval() -> None:
    bank, queries = _random()
    accuracy = _accuracies(bank, queries, (5,), 12)[5]
    assert accuracy.top1_interval is not None
    assert accuracy.top1_interval[0] < accuracy.top1 < accuracy.top1_interval[1]
