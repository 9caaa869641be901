from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from timm.models.vision_transformer import Block
from torch import nn

from dino.model.transformer_block import FastBlock, fast_blocks

BATCH, TOKENS, DIM, HEADS = 3, 10, 48, 4


def blocks(dtype: torch.dtype = torch.float32, **arguments) -> tuple[Block, Block]:
    """timm's block with parameters that all matter, and a fast one with the same."""
    torch.manual_seed(0)
    pair = tuple(Block(DIM, HEADS, qkv_bias=True, **arguments).to(dtype) for _ in range(2))
    for parameter in pair[0].parameters():
        nn.init.normal_(parameter, std=0.3)
    pair[1].load_state_dict(pair[0].state_dict())
    for block in pair:
        block.attn.fused_attn = False
    return pair[0], fast_blocks(nn.Sequential(pair[1]))[0]


def tokens(dtype: torch.dtype = torch.float32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(BATCH, TOKENS, DIM, generator=generator, dtype=dtype).requires_grad_()


def output_and_gradients(block: Block, x: torch.Tensor) -> list[torch.Tensor]:
    output = block(x)
    upstream = torch.linspace(-1, 1, output.numel()).view(output.shape).to(output.dtype)
    return [output, *torch.autograd.grad(output, [x, *block.parameters()], upstream)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("arguments", [{}, {"init_values": 0.5}])
def test_output_and_gradients_are_those_of_plain_autograd(dtype, arguments):
    plain, fast = blocks(dtype, **arguments)
    assert type(fast) is FastBlock
    expected = output_and_gradients(plain, tokens(dtype))
    actual = output_and_gradients(fast, tokens(dtype))
    for name, ours, theirs in zip(
        ["output", "x", *dict(plain.named_parameters())], actual, expected, strict=True
    ):
        tolerance = 1e-5 if dtype == torch.float32 else 1e-12
        error = (ours - theirs).norm() / theirs.norm()
        assert error < tolerance or theirs.norm() < 1e-3, name


def test_bf16_is_as_close_to_float32_as_autocast_of_the_plain_block():
    plain, fast = blocks()
    exact = output_and_gradients(plain, tokens())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        autocast = output_and_gradients(plain, tokens())
        actual = output_and_gradients(fast, tokens())
    for ours, theirs, reference in zip(actual, autocast, exact, strict=True):
        assert ours.dtype == theirs.dtype == torch.float32
        expected_error = (theirs - reference).norm()
        assert (ours - reference).norm() < 1.2 * expected_error + 1e-3


def test_fused_attention_without_gradients_gives_the_same_tokens():
    plain, fast = blocks()
    expected = plain(tokens())
    fast.attn.fused_attn = True
    with torch.no_grad():
        torch.testing.assert_close(fast(tokens()), expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(fast(tokens()), expected, rtol=1e-4, atol=1e-4)


def test_drop_path_is_called_on_both_branches():
    _, fast = blocks()
    fast.drop_path1 = fast.drop_path2 = nn.Threshold(1e9, 0.0)
    x = tokens()
    assert torch.equal(fast(x), x)


def test_attention_masks_are_left_to_timm():
    plain, fast = blocks()
    torch.testing.assert_close(fast(tokens(), is_causal=True), plain(tokens(), is_causal=True))


@pytest.mark.parametrize(
    "arguments", [{"qk_norm": True}, {"proj_drop": 0.1}, {"act_layer": nn.SiLU}]
)
def test_other_kinds_of_block_stay_timms(arguments):
    assert type(blocks(**arguments)[1]) is Block


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_threads_get_the_same_bits_as_one_call_alone(precision):
    _, fast = blocks()

    def compute(_: int) -> list[torch.Tensor]:
        with torch.autocast("cpu", dtype=precision, enabled=precision == torch.bfloat16):
            return output_and_gradients(fast, tokens())

    with ThreadPoolExecutor(1) as thread:
        alone = thread.submit(compute, 0).result()
    with ThreadPoolExecutor(4) as threads:
        for together in threads.map(compute, range(16)):
            assert all(map(torch.equal, together, alone))
