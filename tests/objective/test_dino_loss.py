import math
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from dino.objective import views
from dino.objective.dino_loss import dino_loss
from dino.objective.teacher_distribution import teacher_distribution

PROTOTYPES = 12
DTYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16]


def _scores(crops, batch, seed=0, prototypes=PROTOTYPES):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(crops * batch, prototypes, generator=generator)


def _teacher(batch, temperature=0.07, prototypes=PROTOTYPES):
    scores = _scores(2, batch, 1, prototypes)
    return teacher_distribution(scores, torch.zeros(1, prototypes), temperature)


def _pair_by_pair(student, teacher, temperature):
    """The mean over the pairs and, row by row, its gradient."""
    student = student.detach().double().requires_grad_()
    batch = len(teacher) // 2
    pairs = []
    for q_view, q in enumerate(teacher.double().split(batch)):
        for p_view, p in enumerate(student.split(batch)):
            if q_view != p_view:
                log_p = torch.log_softmax(p / temperature, dim=-1)
                pairs.append(-(q * log_p).sum(dim=-1).mean())
    loss = torch.stack(pairs).mean()
    loss.backward()
    return len(pairs), loss.detach(), student.grad


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("temperature", [0.05, 0.1, 1.0])
@pytest.mark.parametrize(("crops", "batch"), [(2, 1), (2, 7), (3, 4), (10, 1), (10, 5)])
def test_loss_is_the_mean_over_the_pairs_of_different_views(crops, batch, temperature, dtype):
    student, teacher = _scores(crops, batch).to(dtype).requires_grad_(), _teacher(batch)
    pairs, loss, gradient = _pair_by_pair(student, teacher, temperature)
    assert pairs == 2 * (crops - 1)
    result = dino_loss(student, teacher, temperature)
    result.loss.backward()
    assert result.loss.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert student.grad.dtype == dtype
    torch.testing.assert_close(result.loss.double(), loss, rtol=2e-6, atol=0)
    # relative to the largest: the gradient's rows sum to zero
    error = (student.grad.double() - gradient).abs().max() / gradient.abs().max()
    assert error < max(1e-5, torch.finfo(dtype).eps)


@pytest.mark.parametrize("numbers", [1, PROTOTYPES, 3 * PROTOTYPES, 6 * PROTOTYPES, 2**18])
def test_blocks_change_nothing(monkeypatch, numbers):
    student, teacher = _scores(9, 5).requires_grad_(), _teacher(5)
    _, loss, gradient = _pair_by_pair(student, teacher, 0.1)
    monkeypatch.setattr(views, "_NUMBERS_CPU", numbers)
    result = dino_loss(student, teacher, 0.1)
    result.loss.backward()
    torch.testing.assert_close(result.loss.double(), loss, rtol=1e-6, atol=0)
    torch.testing.assert_close(student.grad.double(), gradient, rtol=1e-4, atol=1e-7)
    torch.testing.assert_close(result.mean_distribution, teacher.mean(dim=0))
    entropy = torch.special.entr(teacher).sum(dim=-1).mean()
    torch.testing.assert_close(result.teacher_entropy, entropy)


def test_the_gradient_is_that_of_finite_differences():
    student = _scores(4, 2).double().requires_grad_()
    teacher = _teacher(2).double()
    assert torch.autograd.gradcheck(lambda s: 3 * dino_loss(s, teacher, 0.3).loss, student)


def test_a_second_derivative_is_refused():
    student = _scores(3, 2).requires_grad_()
    loss = dino_loss(student, _teacher(2), 0.1).loss
    with pytest.raises(RuntimeError, match="no second derivative"):
        torch.autograd.grad(loss, student, create_graph=True)


def test_scores_without_gradient_give_the_same_loss():
    student, teacher = _scores(4, 3), _teacher(3)
    without = dino_loss(student, teacher, 0.1).loss
    assert not without.requires_grad
    assert torch.equal(without, dino_loss(student.requires_grad_(), teacher, 0.1).loss.detach())


def test_no_gradient_flows_to_the_teacher():
    student, teacher = _scores(4, 3).requires_grad_(), _teacher(3).requires_grad_()
    dino_loss(student, teacher, 0.1).loss.backward()
    assert teacher.grad is None


def test_what_is_kept_for_the_gradient_are_the_scores_and_distributions_themselves():
    student, teacher = _scores(10, 3).requires_grad_(), _teacher(3)
    kept = []

    def keep(tensor):
        kept.append(tensor.data_ptr())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = dino_loss(student, teacher, 0.1).loss
    assert set(kept) == {student.data_ptr(), teacher.data_ptr()}
    (first,) = torch.autograd.grad(loss, student, retain_graph=True)
    (second,) = torch.autograd.grad(loss, student)
    assert torch.equal(first, second)


def test_a_scaled_loss_keeps_gradients_that_float16_would_round_to_zero():
    student = _scores(10, 8, prototypes=4096).mul_(1e-4)
    teacher = _teacher(8, temperature=2000.0, prototypes=4096)
    half = student.half().requires_grad_()
    _, _, expected = _pair_by_pair(half, teacher, 0.1)
    assert expected.half().count_nonzero() < expected.numel() / 2
    (65536 * dino_loss(half, teacher, 0.1).loss).backward()
    error = (half.grad.double() / 65536 - expected).norm() / expected.norm()
    assert error < 0.005


def test_large_scores_stay_finite():
    student = (_scores(4, 2) * 1e4).requires_grad_()
    result = dino_loss(student, _teacher(2), 0.04)
    result.loss.backward()
    _, loss, gradient = _pair_by_pair(student, _teacher(2), 0.04)
    torch.testing.assert_close(result.loss.double(), loss, rtol=1e-6, atol=0)
    torch.testing.assert_close(student.grad.double(), gradient, rtol=1e-4, atol=1e-6)


def test_threads_compute_what_one_computes():
    pieces = [(_scores(5, 4, seed, 300), _teacher(4, prototypes=300)) for seed in range(16)]

    def gradient(piece):
        student = piece[0].clone().requires_grad_()
        (result,) = torch.autograd.grad(dino_loss(student, piece[1], 0.1).loss, student)
        return result

    alone = [gradient(piece) for piece in pieces]
    with ThreadPoolExecutor(4, initializer=lambda: torch.set_num_threads(1)) as threads:
        for expected, actual in zip(alone, threads.map(gradient, pieces), strict=True):
            assert torch.equal(actual, expected)


def test_pieces_of_a_batch_average_to_the_whole():
    student, teacher = _scores(4, 6).view(4, 6, -1), _teacher(6).view(2, 6, -1)
    whole = dino_loss(student.flatten(0, 1), teacher.flatten(0, 1), 0.1)
    shares = (1 / 3, 2 / 3)
    parts = [
        dino_loss(student[:, piece].flatten(0, 1), teacher[:, piece].flatten(0, 1), 0.1)
        for piece in (slice(0, 2), slice(2, 6))
    ]
    for name in ("loss", "kl", "teacher_entropy", "mean_distribution"):
        mean = sum(s * getattr(part, name) for s, part in zip(shares, parts, strict=True))
        torch.testing.assert_close(mean, getattr(whole, name))


def test_uniform_student_costs_log_prototypes():
    result = dino_loss(torch.zeros(10, PROTOTYPES), _teacher(2), student_temperature=0.1)
    assert result.loss.item() == pytest.approx(math.log(PROTOTYPES), rel=1e-6)


def test_one_hot_teacher_costs_the_log_probability_of_its_prototype():
    student = torch.zeros(6, PROTOTYPES)
    student[:, 3] = math.log(5)
    teacher = torch.zeros(4, PROTOTYPES)
    teacher[:, 3] = 1
    result = dino_loss(student, teacher, student_temperature=1.0)
    assert result.loss.item() == pytest.approx(math.log(1 + (PROTOTYPES - 1) / 5), rel=1e-6)
    assert result.teacher_entropy.item() == 0
    assert result.kl.item() == pytest.approx(result.loss.item())
    assert result.prototype_share.item() == 1


def test_uniform_teacher_has_the_entropy_of_log_prototypes():
    uniform = torch.full((4, PROTOTYPES), 1 / PROTOTYPES)
    result = dino_loss(_scores(4, 2), uniform, student_temperature=0.1)
    assert result.teacher_entropy.item() == pytest.approx(math.log(PROTOTYPES), rel=1e-6)
    assert result.prototype_share.item() == pytest.approx(1 / PROTOTYPES)


def test_student_that_agrees_with_the_teacher_has_no_divergence():
    scores = _scores(1, 3).repeat(4, 1)
    teacher = teacher_distribution(scores[:6], torch.zeros(1, PROTOTYPES), temperature=0.1)
    result = dino_loss(scores.requires_grad_(), teacher, student_temperature=0.1)
    result.loss.backward()
    assert result.loss.item() == pytest.approx(result.teacher_entropy.item(), rel=1e-5)
    assert result.kl.item() == pytest.approx(0, abs=1e-5)
    torch.testing.assert_close(scores.grad, torch.zeros_like(scores))


def test_images_with_different_prototypes_share_them():
    one_hot = torch.eye(PROTOTYPES)[:4].repeat(2, 1)
    result = dino_loss(_scores(4, 4), one_hot, student_temperature=0.1)
    assert result.prototype_share.item() == pytest.approx(1 / 4)
    assert result.teacher_entropy.item() == 0
