import pytest
import torch

from dino.objective.dino_loss import dino_loss
from dino.objective.mse_loss import mse_loss
from dino.objective.teacher_distribution import teacher_distribution

PROTOTYPES = 12


def _scores(rows, seed):
    return torch.randn(rows, PROTOTYPES, generator=torch.Generator().manual_seed(seed))


def _mse(student, teacher):
    q = teacher_distribution(teacher, torch.zeros(1, PROTOTYPES), 0.07)
    return mse_loss(student, teacher, q, student_temperature=0.1)


@pytest.mark.parametrize(("crops", "batch"), [(2, 1), (3, 4), (10, 5)])
def test_mse_is_the_mean_squared_distance_over_the_pairs_of_different_views(crops, batch):
    student, teacher = _scores(crops * batch, 0).requires_grad_(), _scores(2 * batch, 1)
    pairs = []
    for i in range(2):
        for j in range(crops):
            for image in range(batch):
                t, s = teacher[i * batch + image], student[j * batch + image]
                if i != j:
                    pairs.append((t / t.norm() - s / s.norm()).square().sum())
    expected = torch.stack(pairs).mean()
    (expected_gradient,) = torch.autograd.grad(expected, student)
    result = _mse(student, teacher)
    torch.testing.assert_close(result.loss, expected)
    (gradient,) = torch.autograd.grad(result.loss, student)
    torch.testing.assert_close(gradient, expected_gradient)


@pytest.mark.parametrize(("factor", "distance"), [(3.0, 0.0), (-0.5, 4.0)])
def test_only_directions_count(factor, distance):
    scores = _scores(1, 0).repeat(6, 1)
    assert _mse(factor * scores, scores[:4]).loss.item() == pytest.approx(distance, abs=1e-5)


def test_perpendicular_scores_are_two_apart():
    student, teacher = torch.zeros(6, PROTOTYPES), torch.zeros(4, PROTOTYPES)
    student[:, 0], teacher[:, 1] = 2, 5
    assert _mse(student, teacher).loss.item() == pytest.approx(2)


def test_half_precision_is_computed_in_float32():
    student, teacher = _scores(6, 0).bfloat16().requires_grad_(), _scores(4, 1).bfloat16()
    result = _mse(student, teacher)
    assert result.loss.dtype == torch.float32
    torch.testing.assert_close(result.loss, _mse(student.float(), teacher.float()).loss)
    result.loss.backward()
    assert student.grad.dtype == torch.bfloat16


def test_the_telemetry_is_that_of_the_cross_entropy():
    student, teacher = _scores(6, 0).requires_grad_(), _scores(4, 1)
    q = teacher_distribution(teacher, torch.zeros(1, PROTOTYPES), 0.07)
    mse, cross_entropy = mse_loss(student, teacher, q, 0.1), dino_loss(student, q, 0.1)
    for name in ("kl", "teacher_entropy", "mean_distribution", "prototype_share"):
        assert torch.equal(getattr(mse, name), getattr(cross_entropy, name))
    assert not mse.kl.requires_grad
