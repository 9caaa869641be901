import math

import pytest
import torch

from dino.features import neighbours
from dino.features.neighbours import class_votes, nearest_neighbours


def _random(rows: int, dim: int, seed: int) -> torch.Tensor:
    return torch.randn(rows, dim, generator=torch.Generator().manual_seed(seed))


def test_neighbours_are_those_of_a_full_sort() -> None:
    bank, queries = _random(40, 6, 0), _random(9, 6, 1)
    cosine = torch.nn.functional.cosine_similarity(queries[:, None], bank[None], dim=2)
    expected = cosine.sort(dim=1, descending=True)
    similarities, indices = nearest_neighbours(bank, queries, 7)
    torch.testing.assert_close(similarities, expected.values[:, :7])
    assert torch.equal(indices, expected.indices[:, :7])


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    bank, queries = _random(40, 6, 0), _random(23, 6, 1)
    whole = nearest_neighbours(bank, queries, 5)
    monkeypatch.setattr(neighbours, "_BLOCK_SIMILARITIES", 40 * 4)
    blocked = nearest_neighbours(bank, queries, 5)
    torch.testing.assert_close(blocked[0], whole[0])
    assert torch.equal(blocked[1], whole[1])


def test_more_neighbours_than_images_gives_all_images() -> None:
    bank = _random(3, 4, 0)
    similarities, indices = nearest_neighbours(bank, bank, 200)
    assert similarities.shape == (3, 3)
    assert indices[:, 0].tolist() == [0, 1, 2]


def test_length_of_a_feature_does_not_count() -> None:
    bank, queries = _random(10, 4, 0), _random(5, 4, 1)
    lengths = torch.arange(1.0, 11.0)[:, None]
    assert torch.equal(
        nearest_neighbours(bank * lengths, queries * 3, 4)[1],
        nearest_neighbours(bank, queries, 4)[1],
    )


def test_votes_are_sums_of_exponentials() -> None:
    similarities = torch.tensor([[0.7, 0.35, 0.0]])
    votes = class_votes(similarities, torch.tensor([[2, 0, 2]]), temperature=0.07, classes=4)
    expected = torch.tensor([[math.exp(5), 0.0, math.exp(10) + 1, 0.0]], dtype=torch.float64)
    torch.testing.assert_close(votes, expected, rtol=1e-6, atol=0)


def test_a_low_temperature_does_not_overflow() -> None:
    votes = class_votes(torch.ones(1, 2), torch.tensor([[0, 0]]), temperature=0.002, classes=1)
    assert torch.isfinite(votes).all()
