import pytest
import torch
import torch.nn.functional as F

from dino.model.kernels.matrix_product import linear, product

ROWS, INPUTS, OUTPUTS = 37, 24, 40


def operands(dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    shapes = ((3, ROWS, INPUTS), (OUTPUTS, INPUTS), (OUTPUTS,))
    drawn = [torch.randn(shape, generator=generator, dtype=dtype) for shape in shapes]
    return tuple(tensor.requires_grad_() for tensor in drawn)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("with_bias", [True, False])
def test_values_and_gradients_are_those_of_torch(dtype, with_bias):
    x, weight, bias = operands(dtype)
    inputs = (x, weight, bias) if with_bias else (x, weight)
    expected, actual = F.linear(*inputs), linear(*inputs)
    assert actual.dtype == dtype
    torch.testing.assert_close(actual, expected)
    upstream = torch.randn_like(expected)
    torch.testing.assert_close(
        torch.autograd.grad(actual, inputs, upstream),
        torch.autograd.grad(expected, inputs, upstream),
    )


def test_only_the_wanted_gradients_are_computed():
    x, weight, bias = operands()
    result = linear(x.detach(), weight.detach(), bias)
    (gradient,) = torch.autograd.grad(result.sum(), [bias])
    torch.testing.assert_close(gradient, torch.full((OUTPUTS,), 3.0 * ROWS))


def test_autocast_multiplies_in_bf16():
    x, weight, bias = operands()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(linear(x, weight, bias), F.linear(x, weight, bias))
        assert linear(x, weight, bias).dtype == torch.bfloat16


def test_no_rows_give_no_rows():
    assert linear(torch.ones(0, 4), torch.ones(3, 4)).shape == (0, 3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_product_takes_transposed_operands(dtype):
    left, right = torch.randn(INPUTS, ROWS).to(dtype), torch.randn(INPUTS, OUTPUTS).to(dtype)
    expected = (left.double().t() @ right.double()).to(dtype)
    torch.testing.assert_close(product(left.t(), right.t()), expected)
