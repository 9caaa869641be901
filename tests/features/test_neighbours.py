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
    monkeypatch.setattr(neighbours, "_BANK_ROWS", 7)
    monkeypatch.setattr(neighbours, "_BLOCK_SIMILARITIES", 7 * 4)
    blocked = nearest_neighbours(bank, queries, 5)
    torch.testing.assert_close(blocked[0], whole[0])
    assert torch.equal(blocked[1], whole[1])


@pytest.fixture
def candidates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Candidates in bf16, on any processor and for any size."""
    monkeypatch.setattr(neighbours, "resolve_precision", lambda *_: "bf16")
    monkeypatch.setattr(neighbours, "_WORTH_CANDIDATES", 0)


@pytest.mark.usefixtures("candidates")
@pytest.mark.parametrize("spacing", [1.0, 1e-2, 1e-4])
def test_candidates_in_bf16_lead_to_the_float32_neighbours(
    monkeypatch: pytest.MonkeyPatch, spacing: float
) -> None:
    # the smaller the spacing, the less bf16 can tell the features apart
    bank = _random(1, 24, 2) + spacing * _random(400, 24, 0)
    queries = _random(1, 24, 2) + spacing * _random(60, 24, 1)
    monkeypatch.setattr(neighbours, "_TOLERATED_DOUBT", 1.0)
    monkeypatch.setattr(neighbours, "_BANK_ROWS", 150)
    similarities, indices = nearest_neighbours(bank, queries, 5)
    monkeypatch.setattr(neighbours, "_WORTH_CANDIDATES", math.inf)
    expected = nearest_neighbours(bank, queries, 5)
    torch.testing.assert_close(similarities, expected[0])
    if spacing > 1e-4:
        assert torch.equal(indices, expected[1])


@pytest.mark.usefixtures("candidates")
def test_candidates_that_bf16_cannot_tell_apart_are_not_certain() -> None:
    bank = _random(1, 24, 2) + 1e-3 * _random(400, 24, 0)
    queries = torch.nn.functional.normalize(_random(1, 24, 2) + 1e-3 * _random(9, 24, 1), dim=1)
    assert not neighbours._by_candidates(bank, queries, 5).certain.any()
    assert not neighbours._candidates_pay(bank, queries, 5)


def test_the_error_of_bf16_is_within_its_bound() -> None:
    bank, queries = _random(300, 48, 0), _random(50, 48, 1)
    queries = torch.nn.functional.normalize(queries, dim=1)
    rough, indices, error = neighbours._top(bank, queries, 300, torch.bfloat16)
    exact = neighbours._similarities(bank, queries, indices)
    rounding = neighbours._half_unit(rough, torch.bfloat16)
    assert ((rough - exact).abs() <= error[:, None] + rounding).all()
    assert error.max() < 0.02


@pytest.mark.parametrize("equal", [4, 30])
def test_of_equal_similarities_the_lower_index_comes_first(equal: int) -> None:
    bank = torch.eye(4).repeat_interleave(equal, dim=0)
    _, indices = nearest_neighbours(bank, torch.eye(4)[[2, 0]], 3)
    assert indices.tolist() == [[2 * equal, 2 * equal + 1, 2 * equal + 2], [0, 1, 2]]


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
