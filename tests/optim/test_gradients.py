import torch
from torch import nn

from dino.optim.gradients import clip_each


def _parameters():
    parameters = [nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(3))]
    parameters[0].grad = torch.tensor([3.0, 4.0])
    parameters[1].grad = torch.tensor([0.1, 0.0, 0.0])
    return parameters


def test_a_small_gradient_is_not_scaled_with_a_large_one():
    parameters = _parameters()
    norms = clip_each(parameters, 1.0)
    torch.testing.assert_close(norms, torch.tensor([5.0, 0.1]))
    torch.testing.assert_close(parameters[0].grad.norm(), torch.tensor(1.0))
    torch.testing.assert_close(parameters[1].grad, torch.tensor([0.1, 0.0, 0.0]))


def test_zero_leaves_gradients_alone():
    parameters = _parameters()
    clip_each(parameters, 0.0)
    assert parameters[0].grad.tolist() == [3.0, 4.0]
