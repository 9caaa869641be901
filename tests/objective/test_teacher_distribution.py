import math
from pathlib import Path

import pytest
import torch
from two_ranks import run_ranks

from dino.core.distributed import rank, world_size
from dino.objective import views
from dino.objective.teacher_distribution import teacher_distribution

PROTOTYPES = 12
CENTER = torch.zeros(1, PROTOTYPES)
CENTERINGS = ["mean", "none", "sinkhorn_knopp", "softmax"]


def _scores(rows, seed=0):
    return torch.randn(rows, PROTOTYPES, generator=torch.Generator().manual_seed(seed))


def _entropy(q):
    return torch.special.entr(q).sum(dim=-1).mean().item()


def _normalised_in_turn(scores, temperature, iterations):
    """Columns, then rows of one view's exp(scores / temperature), divided by their sums."""
    x = torch.exp(scores.double() / temperature)
    for _ in range(iterations):
        x = x / x.sum(dim=0, keepdim=True)
        x = x / x.sum(dim=1, keepdim=True)
    return x.float()


@pytest.mark.parametrize("centering", CENTERINGS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_every_row_is_a_distribution_of_float32_or_more(centering, dtype):
    q = teacher_distribution(_scores(8).to(dtype), CENTER, 0.07, centering)
    assert q.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert (q >= 0).all()
    torch.testing.assert_close(q.sum(dim=-1), torch.ones(8, dtype=q.dtype))


def test_centering_takes_away_what_all_images_share():
    bias = torch.zeros(1, PROTOTYPES)
    bias[0, 3] = 5
    scores = _scores(4)
    torch.testing.assert_close(
        teacher_distribution(scores + bias, bias, 0.07), teacher_distribution(scores, CENTER, 0.07)
    )


def test_without_centering_it_stays():
    center = _scores(1, seed=1)
    scores = _scores(4)
    q = teacher_distribution(scores, center, 0.07, "none")
    torch.testing.assert_close(q, torch.softmax(scores / 0.07, dim=-1))


@pytest.mark.parametrize("numbers", [1, PROTOTYPES, 3 * PROTOTYPES])
def test_blocks_change_nothing(monkeypatch, numbers):
    scores, center = _scores(8), _scores(1, seed=1)
    monkeypatch.setattr(views, "_NUMBERS_CPU", numbers)
    expected = torch.softmax((scores - center) / 0.04, dim=-1)
    assert torch.equal(teacher_distribution(scores, center, 0.04), expected)


@pytest.mark.parametrize("centering", ["mean", "none"])
def test_a_lower_temperature_sharpens(centering):
    entropies = [
        _entropy(teacher_distribution(_scores(6), CENTER, temperature, centering))
        for temperature in (0.5, 0.1, 0.04)
    ]
    assert entropies == sorted(entropies, reverse=True)
    assert entropies[0] < math.log(PROTOTYPES)


@pytest.mark.parametrize(("centering", "iterations"), [("sinkhorn_knopp", 3), ("softmax", 1)])
def test_columns_and_rows_of_each_view_are_normalised_in_turn(centering, iterations):
    scores = _scores(10)
    q = teacher_distribution(scores, CENTER, 0.3, centering)
    expected = [_normalised_in_turn(view, 0.3, iterations) for view in scores.split(5)]
    torch.testing.assert_close(q, torch.cat(expected))


def test_softmax_is_taken_over_the_batch():
    scores = _scores(10)
    over_the_batch = torch.cat([torch.softmax(view / 0.3, dim=0) for view in scores.split(5)])
    expected = over_the_batch / over_the_batch.sum(dim=1, keepdim=True)
    torch.testing.assert_close(teacher_distribution(scores, CENTER, 0.3, "softmax"), expected)


@pytest.mark.parametrize("centering", ["sinkhorn_knopp", "softmax"])
def test_a_prototype_that_all_images_prefer_is_not_preferred_any_more(centering):
    scores = _scores(24)
    biased = scores.clone()
    biased[:, 3] += 5
    q = teacher_distribution(biased, CENTER, 0.3, centering)
    torch.testing.assert_close(q, teacher_distribution(scores, CENTER, 0.3, centering))


def test_sinkhorn_knopp_comes_nearer_to_equal_use_of_the_prototypes_than_one_iteration():
    def unevenness(centering):
        q = teacher_distribution(_scores(40), CENTER, 0.3, centering)
        used = q.unflatten(0, (2, -1)).mean(dim=1) * PROTOTYPES
        return (used - 1).abs().max().item()

    values = [unevenness(name) for name in ("sinkhorn_knopp", "softmax", "none")]
    assert values[0] < 0.7 * values[1] < 0.7 * values[2]


def test_as_many_images_as_prototypes_are_matched_one_to_one():
    preferred = torch.eye(PROTOTYPES)[torch.randperm(PROTOTYPES)]
    scores = preferred.repeat(2, 1) * 10
    q = teacher_distribution(scores, CENTER, 0.1, "sinkhorn_knopp")
    torch.testing.assert_close(q, preferred.repeat(2, 1))


@pytest.mark.parametrize("centering", CENTERINGS)
def test_large_scores_stay_distributions(centering):
    scores = _scores(8) * 1e3
    # an image far below all others in every column, and a column far below the others
    scores[1] -= 1e4
    scores[:, 2] -= 1e4
    q = teacher_distribution(scores, CENTER, 0.04, centering)
    assert torch.isfinite(q).all()
    torch.testing.assert_close(q.sum(dim=-1), torch.ones(8))


@pytest.mark.parametrize("centering", CENTERINGS)
def test_no_gradient_flows_through_the_teacher(centering):
    scores = _scores(4).requires_grad_()
    assert not teacher_distribution(scores, CENTER, 0.07, centering).requires_grad


def _share_of_this_rank(centering, scores):
    mine = slice(rank() * 3, rank() * 3 + 3) if world_size() > 1 else slice(None)
    rows = scores.unflatten(0, (2, -1))[:, mine].flatten(0, 1)
    return teacher_distribution(rows, CENTER, 0.07, centering).unflatten(0, (2, -1))


@pytest.mark.parametrize("centering", ["sinkhorn_knopp", "softmax"])
def test_two_ranks_equal_one_with_the_doubled_batch(tmp_path, monkeypatch, centering):
    # the other processes import this file by its name, tests.objective.…
    monkeypatch.syspath_prepend(Path(__file__).parents[2])
    scores = _scores(12)
    # no rank may take its own maximum for that of all
    scores[3:6] += 20
    alone = _share_of_this_rank(centering, scores)
    ranks = run_ranks(2, _share_of_this_rank, centering, scores, folder=tmp_path)
    torch.testing.assert_close(torch.cat(ranks, dim=1), alone)
    assert not torch.allclose(ranks[0], _share_of_this_rank(centering, scores[[0, 1, 2, 6, 7, 8]]))
