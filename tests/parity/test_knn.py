from collections.abc import Callable, Mapping

import numpy as np
import pytest
import torch

from dino.evaluation.knn import knn_accuracies
from dino.features.neighbours import class_votes, nearest_neighbours
from dino.metrics.accuracy import rank_of_label

Golden = Callable[[str], Mapping[str, np.ndarray]]


def test_accuracies_are_the_references(golden: Golden) -> None:
    file = golden("knn")
    accuracies = knn_accuracies(
        bank=torch.from_numpy(file["train_features"]),
        bank_labels=torch.from_numpy(file["train_labels"]),
        queries=torch.from_numpy(file["test_features"]),
        query_labels=torch.from_numpy(file["test_labels"]),
        neighbours=tuple(file["ks"].tolist()),
        temperature=float(file["T"]),
        classes=int(file["num_classes"]),
    )
    for k in file["ks"].tolist():
        assert accuracies[k].top1 == pytest.approx(file[f"k{k}/top1"], abs=1e-9)
        assert accuracies[k].top5 == pytest.approx(file[f"k{k}/top5"], abs=1e-9)


def test_votes_and_ranking_are_the_references(golden: Golden) -> None:
    file = golden("knn")
    labels = torch.from_numpy(file["train_labels"])
    similarities, indices = nearest_neighbours(
        torch.from_numpy(file["train_features"]),
        torch.from_numpy(file["test_features"]),
        int(file["ks"].max()),
    )
    for k in file["ks"].tolist():
        votes = class_votes(
            similarities[:, :k], labels[indices[:, :k]], float(file["T"]), int(file["num_classes"])
        ).numpy()
        np.testing.assert_allclose(votes, file[f"k{k}/votes"], rtol=1e-4)
        for place, classes in enumerate(file[f"k{k}/pred"].T):
            voted = classes >= 0
            assert (rank_of_label(votes[voted], classes[voted]) == place).all()
