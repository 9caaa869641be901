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
    assert _accuracies(bank, bank, (1,), 12)[1] == KnnAccuracy(top1=100.0, top5=100.0)


def test_val_and_test_are_classified_by_train() -> None:
    train, other = _random()
    splits = LabelledSplits(train=train, val=train, test=other, classes=12)
    result = knn(splits, KnnConfig(neighbours=(1,), headline=1))
    assert result.val[1].top1 == 100
    assert result.test == _accuracies(train, other, (1,), 12)
