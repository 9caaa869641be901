import math

import numpy as np
import pytest

from dino.metrics.accuracy import rank_of_label, top_k_accuracy


def test_rank_is_the_place_in_a_stable_descending_sort() -> None:
    generator = np.random.default_rng(0)
    scores = generator.integers(0, 4, size=(50, 7)).astype(np.float64)  # many ties
    labels = generator.integers(0, 7, size=50)
    order = np.argsort(-scores, axis=1, kind="stable")
    expected = [row.tolist().index(label) for row, label in zip(order, labels, strict=True)]
    assert rank_of_label(scores, labels).tolist() == expected


def test_the_lower_class_wins_a_tie() -> None:
    scores = np.zeros((3, 3))
    assert rank_of_label(scores, np.array([0, 1, 2])).tolist() == [0, 1, 2]


@pytest.mark.parametrize(("k", "percent"), [(1, 40.0), (2, 60.0), (5, 100.0)])
def test_top_k_counts_ranks_below_k(k: int, percent: float) -> None:
    assert top_k_accuracy(np.array([0, 0, 1, 3, 4]), k) == percent


def test_no_image_has_no_accuracy() -> None:
    assert math.isnan(top_k_accuracy(np.array([], dtype=np.int64), 1))
