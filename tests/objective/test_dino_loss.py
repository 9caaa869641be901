import math

import pytest
import torch

from dino.objective.center import Center
from dino.objective.dino_loss import dino_loss, teacher_distribution

PROTOTYPES = 12


def _scores(crops, batch, seed=0):
    return torch.randn(crops * batch, PROTOTYPES, generator=torch.Generator().manual_seed(seed))


def _teacher(batch, temperature=0.07):
    return teacher_distribution(_scores(2, batch, 1), torch.zeros(1, PROTOTYPES), temperature)


@pytest.mark.parametrize(("crops", "batch"), [(2, 1), (3, 4), (10, 5)])
def test_loss_is_the_mean_over_the_pairs_of_different_views(crops, batch):
    student, teacher = _scores(crops, batch), _teacher(batch)
    pairs = []
    for q_view, q in enumerate(teacher.chunk(2)):
        for p_view, p in enumerate(student.chunk(crops)):
            if q_view != p_view:
                log_p = torch.log_softmax(p / 0.1, dim=-1)
                pairs.append(-(q * log_p).sum(dim=-1).mean())
    assert len(pairs) == 2 * (crops - 1)
    result = dino_loss(student, teacher, student_temperature=0.1)
    torch.testing.assert_close(result.loss, torch.stack(pairs).mean())


def test_uniform_student_costs_log_prototypes():
    result = dino_loss(torch.zeros(10, PROTOTYPES), _teacher(2), student_temperature=0.1)
    assert result.loss.item() == pytest.approx(math.log(PROTOTYPES), rel=1e-6)


def test_uniform_teacher_has_the_entropy_of_log_prototypes():
    uniform = torch.full((4, PROTOTYPES), 1 / PROTOTYPES)
    result = dino_loss(_scores(4, 2), uniform, student_temperature=0.1)
    assert result.teacher_entropy.item() == pytest.approx(math.log(PROTOTYPES), rel=1e-6)


def test_student_that_agrees_with_the_teacher_has_no_divergence():
    scores = _scores(1, 3).repeat(4, 1)
    teacher = teacher_distribution(scores[:6], torch.zeros(1, PROTOTYPES), temperature=0.1)
    result = dino_loss(scores, teacher, student_temperature=0.1)
    assert result.kl.item() == pytest.approx(0, abs=1e-5)


def test_a_lower_temperature_sharpens():
    entropies = [
        dino_loss(_scores(2, 3), _teacher(3, temperature), 0.1).teacher_entropy.item()
        for temperature in (0.5, 0.1, 0.04)
    ]
    assert entropies == sorted(entropies, reverse=True)


def test_the_loss_is_computed_in_float32():
    student = _scores(4, 2).bfloat16().requires_grad_()
    result = dino_loss(student, _teacher(2), student_temperature=0.1)
    assert result.loss.dtype == torch.float32


def test_the_center_follows_the_mean_of_the_scores():
    center = Center(PROTOTYPES, momentum=0.9)
    scores = _scores(2, 5)
    center.update(scores)
    center.update(scores)
    torch.testing.assert_close(center.value, 0.19 * scores.mean(dim=0, keepdim=True))


def test_centering_takes_away_what_all_images_share():
    bias = torch.zeros(1, PROTOTYPES)
    bias[0, 3] = 5
    scores = _scores(2, 2)
    torch.testing.assert_close(
        teacher_distribution(scores + bias, bias, 0.07),
        teacher_distribution(scores, torch.zeros_like(bias), 0.07),
    )
