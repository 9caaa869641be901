import pytest
import torch

from benchmarks.agreement import (
    FLOAT32,
    Numbers,
    assert_agreement,
    gradient_differences,
    gradients_of_first_step,
)
from benchmarks.errors import BenchmarkError


def _numbers(loss=2.0, **gradients):
    return Numbers(loss=loss, gradients={k: torch.tensor(v) for k, v in gradients.items()})


def test_equal_numbers_have_no_difference():
    numbers = _numbers(weight=[3.0, 4.0])
    found = assert_agreement("pair", numbers, numbers, FLOAT32)
    assert set(found.values()) == {0.0}


def test_differences_are_relative_to_the_textbook():
    ours, textbook = {"w": torch.tensor([3.0, 5.0])}, {"w": torch.tensor([3.0, 4.0])}
    assert gradient_differences(ours, textbook)["gradient_difference"] == pytest.approx(1 / 5)


@pytest.mark.parametrize(
    ("ours", "message"),
    [
        (_numbers(loss=2.001, weight=[3.0, 4.0], bias=[0.1]), "loss_difference"),
        (_numbers(loss=float("nan"), weight=[3.0, 4.0], bias=[0.1]), "loss_difference"),
        (_numbers(weight=[3.01, 4.0], bias=[0.1]), "gradient_difference"),
        # too small to be seen in the sum
        (_numbers(weight=[3.0, 4.0], bias=[0.1003]), "tensor_difference"),
        (_numbers(weight=[3.0, 4.0]), "only one side has a gradient of bias"),
    ],
)
def test_sides_that_disagree_are_refused(ours, message):
    textbook = _numbers(weight=[3.0, 4.0], bias=[0.1])
    with pytest.raises(BenchmarkError, match=message):
        assert_agreement("pair", ours, textbook, FLOAT32)


def test_adamw_keeps_the_gradient_of_its_first_step():
    weight = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    optimizer = torch.optim.AdamW([weight])
    weight.grad = torch.tensor([0.5, -3.0])
    optimizer.step()
    weight.grad = None
    seen = gradients_of_first_step(optimizer, [("weight", weight)])
    torch.testing.assert_close(seen["weight"], torch.tensor([0.5, -3.0]))
