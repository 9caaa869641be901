"""One tiny network of each of timm's families, seen through the same interface."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dino.core.errors import ConfigurationError
from dino.features.frozen_backbone import FrozenBackbone
from dino.model.reference_vit import is_plain_vit, use_reference_positions

SMALL = {"embed_dim": 16, "depth": 3, "num_heads": 2, "patch_size": 4, "img_size": 16}
ANY_SIZE = {**SMALL, "dynamic_img_size": True}
# one of each family with self-attention over tokens: name, arguments, prefix tokens, has [CLS]
WITH_ATTENTION: dict[str, tuple[str, dict[str, Any], int, bool]] = {
    "plain": ("vit_tiny_patch16_224", ANY_SIZE, 1, True),
    "not square": ("vit_tiny_patch16_224", {**ANY_SIZE, "img_size": (8, 24)}, 1, True),
    "layer scale": ("vit_tiny_patch16_224", {**ANY_SIZE, "init_values": 0.5}, 1, True),
    "q/k norm": ("vit_tiny_patch16_224", {**ANY_SIZE, "qk_norm": True}, 1, True),
    "average pool": (
        "vit_tiny_patch16_224",
        {**ANY_SIZE, "class_token": False, "global_pool": "avg"},
        0,
        False,
    ),
    "attention pool": ("vit_base_patch16_siglip_224", ANY_SIZE, 0, False),
    "distillation": ("deit_tiny_distilled_patch16_224", ANY_SIZE, 2, True),
    "registers": ("vit_small_patch14_reg4_dinov2", ANY_SIZE, 5, True),
    "registers without [CLS]": ("vit_medium_patch16_reg4_gap_256", ANY_SIZE, 4, False),
    "rotary": ("vit_small_patch16_dinov3", ANY_SIZE, 5, True),
    "rotary, swiglu": ("eva02_tiny_patch14_224", ANY_SIZE, 1, True),
    "relative bias": ("beit_base_patch16_224", SMALL, 1, True),
    "relative positions": ("vit_relpos_small_patch16_224", SMALL, 0, False),
}
WITHOUT = {
    "resnet10t": {},
    "xcit_nano_12_p16_224": {"depth": 2, "embed_dim": 16, "num_heads": 2},
    "swin_tiny_patch4_window7_224": {"depths": (1, 1), "embed_dim": 8, "num_heads": (1, 2)},
    "convnext_atto": {"depths": (1, 1, 1, 1), "dims": (4, 8, 8, 8)},
    "cait_xxs24_224": {**SMALL, "depth": 2},
}


PATCHES = {"xcit_nano_12_p16_224": (16, 16), "cait_xxs24_224": (4, 4)}
"""Of the networks above, those whose layers all have the same patches."""


def _network(name: str, **arguments: Any) -> nn.Module:
    """A network whose weights all matter, seeing what the project does."""
    torch.manual_seed(0)
    statistics = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
    network = timm.create_model(
        name, num_classes=0, pretrained_cfg_overlay=statistics, **arguments
    ).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(std=0.2)
    if is_plain_vit(network):
        return use_reference_positions(network, fused_attention=True)
    return network


def _family(family: str) -> tuple[FrozenBackbone, nn.Module, Tensor]:
    name, arguments, *_ = WITH_ATTENTION[family]
    network = _network(name, **arguments)
    size = arguments["img_size"]
    height_px, width_px = (size, size) if isinstance(size, int) else size
    return FrozenBackbone(network), network, torch.randn(2, 3, height_px, width_px)


def _block_inputs(network: nn.Module, images: Tensor) -> list[Any]:
    """What each block of `network` is called with."""
    inputs: list[Any] = []
    handles = [
        block.register_forward_pre_hook(
            lambda _, args, kwargs: inputs.append((args[0], kwargs)), with_kwargs=True
        )
        for block in network.blocks
    ]
    network.forward_features(images)
    for handle in handles:
        handle.remove()
    return inputs


def _naive(network: nn.Module, images: Tensor, layer: int) -> dict[str, Tensor]:
    """Query, key, value [batch tokens heads dim] and attention, from the block's own weights."""
    tokens, arguments = _block_inputs(network, images)[layer]
    block = network.blocks[layer]
    attn, normed = block.attn, block.norm1(tokens)
    if attn.qkv is not None:
        bias = attn.qkv.bias
        if getattr(attn, "q_bias", None) is not None:
            bias = torch.cat([attn.q_bias, torch.zeros_like(attn.q_bias), attn.v_bias])
        q, k, v = F.linear(normed, attn.qkv.weight, bias).chunk(3, dim=-1)
    else:
        q, k, v = attn.q_proj(normed), attn.k_proj(normed), attn.v_proj(normed)
    q, k, v = (x.unflatten(-1, (attn.num_heads, -1)) for x in (q, k, v))
    if hasattr(attn, "q_norm"):
        q, k = attn.q_norm(q), attn.k_norm(k)
    facets = {"query": q, "key": k, "value": v}
    if arguments.get("rope") is not None:
        q, k = (_rotated(x, arguments["rope"], attn) for x in (q, k))
    scores = torch.einsum("bqhd,bkhd->bhqk", q, k) / q.shape[-1] ** 0.5
    if getattr(attn, "relative_position_bias_table", None) is not None:
        scores = scores + attn._get_rel_pos_bias()
    if getattr(attn, "rel_pos", None) is not None:
        scores = attn.rel_pos(scores)
    return {**facets, "attention": scores.softmax(dim=-1)}


def _rotated(x: Tensor, rope: Tensor, attn: nn.Module) -> Tensor:
    """Pairs of channels of the patches turned by their angle; neighbours, or one of either half."""
    sin, cos = rope.chunk(2, dim=-1)
    prefix, patches = x[:, : attn.num_prefix_tokens], x[:, attn.num_prefix_tokens :]
    if attn.rotate_half:
        first, second = patches.chunk(2, dim=-1)
        turned = torch.cat([-second, first], dim=-1)
    else:
        turned = torch.stack([-patches[..., 1::2], patches[..., ::2]], dim=-1).flatten(-2)
    patches = patches * cos[:, None] + turned * sin[:, None]
    return torch.cat([prefix, patches], dim=1)


@torch.no_grad()
@pytest.mark.parametrize("family", WITH_ATTENTION)
def test_facets_and_attention_are_those_of_the_blocks_own_weights(family: str) -> None:
    backbone, network, images = _family(family)
    assert backbone.no_attention is None
    assert (backbone.layers, backbone.heads) == (3, 2)
    for layer in (0, 2):
        expected = _naive(network, images, layer)
        for facet in ("query", "key", "value"):
            (tokens,) = backbone.tokens(images, [layer], facet)
            assert tokens.heads == 2
            torch.testing.assert_close(
                tokens.values, expected[facet].flatten(2), atol=1e-4, rtol=1e-4
            )
        attention = backbone.attention(images, layer)
        torch.testing.assert_close(attention.values, expected["attention"], atol=1e-5, rtol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("family", WITH_ATTENTION)
def test_tokens_are_the_outputs_of_the_blocks(family: str) -> None:
    _, _, prefix, has_cls = WITH_ATTENTION[family]
    backbone, network, images = _family(family)
    inputs = _block_inputs(network, images)
    first, second, last = backbone.tokens(images, [0, 1, -1])
    torch.testing.assert_close(first.values, inputs[1][0])
    torch.testing.assert_close(second.values, inputs[2][0])
    (normed,) = backbone.tokens(images, [-1], normed=True)
    torch.testing.assert_close(normed.values, network.forward_features(images))
    assert (backbone.prefix_tokens, backbone.has_cls_token) == (prefix, has_cls)
    assert backbone.patch_size_px == (4, 4)
    rows, columns = images.shape[2] // 4, images.shape[3] // 4
    assert last.grid == (rows, columns) == backbone.grid_of(images.shape[2:])
    assert last.patches.shape == (2, rows, columns, 16)
    assert last.prefix.shape == (2, prefix, 16)
    torch.testing.assert_close(backbone.global_feature(images), network(images))


@torch.no_grad()
@pytest.mark.parametrize("family", WITH_ATTENTION)
def test_any_size_aspect_and_stride_or_one_line(family: str) -> None:
    _, arguments, prefix, has_cls = WITH_ATTENTION[family]
    backbone, _, _ = _family(family)
    images = torch.randn(1, 3, 13, 26)
    if "dynamic_img_size" not in arguments:
        with pytest.raises(ConfigurationError, match=f"expected what {backbone.name} takes"):
            backbone.tokens(images)
        with pytest.raises(ConfigurationError, match="has no patches whose positions"):
            backbone.with_stride(2)
        return
    (tokens,) = backbone.tokens(images)
    assert tokens.grid == (3, 6)
    # what does not fill a patch is dropped; the reference's rule for positions looks at it
    whole = backbone.tokens(images[:, :, :12, :24])[0]
    torch.testing.assert_close(tokens.values, whole.values)
    assert backbone.global_feature(images).shape == (1, 16)
    touching = backbone.with_stride(4)
    torch.testing.assert_close(touching.tokens(images)[0].values, tokens.values)
    strided = backbone.with_stride((2, 1))
    assert strided.grid_of((13, 26)) == (5, 23)
    (fine,) = strided.tokens(images, [1], "key")
    assert fine.patches.shape == (1, 5, 23, 16)
    assert strided.attention(images).values.shape == (1, 2, prefix + 115, prefix + 115)
    if has_cls:
        cls = strided.attention(images, rows="cls")
        assert cls.of_first_token.shape == (1, 2, 5, 23)
        torch.testing.assert_close(cls.values, strided.attention(images).values[:, :, :1])
    assert not torch.allclose(strided.global_feature(images), backbone.global_feature(images))


@torch.no_grad()
def test_overlapping_patches_are_those_of_shifted_images_where_positions_are_none() -> None:
    network = _network("vit_medium_patch16_reg4_gap_256", **ANY_SIZE)
    network.pos_embed.zero_()
    for block in network.blocks:
        # with nothing from the other tokens, a token is its patch's alone
        block.attn.proj.weight.zero_()
    backbone, images = FrozenBackbone(network), torch.randn(1, 3, 16, 16)
    (fine,) = backbone.with_stride(2).tokens(images)
    (shifted,) = backbone.tokens(images[:, :, 2:14, 2:14])
    torch.testing.assert_close(fine.patches[:, 1::2, 1::2], shifted.patches)


@torch.no_grad()
@pytest.mark.parametrize("name", WITHOUT)
def test_networks_without_attention_over_tokens_give_maps_and_one_reason(name: str) -> None:
    network = _network(name, **WITHOUT[name])
    backbone = FrozenBackbone(network)
    size_px = 16 if "cait" in name else 224
    images = torch.randn(1, 3, size_px, size_px)
    reason = f"{backbone.name} has no self-attention of all tokens in its blocks"
    assert backbone.no_attention == reason
    assert (backbone.heads, backbone.prefix_tokens, backbone.has_cls_token) == (None, 0, False)
    assert backbone.patch_size_px == PATCHES.get(name)
    with pytest.raises(ConfigurationError, match=f"attention: {reason}"):
        backbone.attention(images)
    with pytest.raises(ConfigurationError, match=f"facet key: {reason}; use token"):
        backbone.tokens(images, facet="key")
    (last,) = backbone.tokens(images)
    expected = network.forward_intermediates(images, indices=1, intermediates_only=True)[0]
    torch.testing.assert_close(last.patches, expected.permute(0, 2, 3, 1))
    torch.testing.assert_close(backbone.global_feature(images), network(images))


def test_what_is_not_there_is_one_line() -> None:
    backbone, _, images = _family("plain")
    with pytest.raises(ConfigurationError, match=r"layer: expected -3 to 2 for Vis.*, got 3"):
        backbone.tokens(images, [3])
    with pytest.raises(ConfigurationError, match=r"stride: expected 1 to 4 px, .* got 5"):
        backbone.with_stride(5)
    with pytest.raises(ConfigurationError, match="at least a patch of 4 x 4 px, got 3 x 9"):
        backbone.tokens(torch.zeros(1, 3, 3, 9))
    with pytest.raises(ConfigurationError, match="stride: ResNet has no patches"):
        FrozenBackbone(_network("resnet10t")).with_stride(2)
    with pytest.raises(ConfigurationError, match="normed: expected the facet token, got key"):
        backbone.tokens(images, facet="key", normed=True)
    with pytest.raises(ConfigurationError, match=r"has no \[CLS\] token in its blocks"):
        _family("average pool")[0].attention(images, rows="cls")
    assert backbone.tokens(images, []) == ()


def test_patches_of_a_hybrid_are_those_of_its_convnets_map() -> None:
    hybrid = FrozenBackbone(_network("vit_tiny_r_s16_p8_224", depth=1))
    assert hybrid.patch_size_px == (32, 32)
    assert hybrid.tokens(torch.zeros(1, 3, 224, 224))[0].grid == hybrid.grid_of((224, 224))


def test_a_network_with_several_last_maps_is_one_line() -> None:
    crossvit = FrozenBackbone(_network("crossvit_tiny_240"))
    with pytest.raises(ConfigurationError, match="CrossVit has several last feature maps"):
        crossvit.global_feature(torch.zeros(1, 3, 240, 240))


@torch.no_grad()
@pytest.mark.parametrize("family", ["plain", "registers"])
def test_images_are_seen_as_the_network_was_trained_to(family: str) -> None:
    backbone, network, _ = _family(family)
    network.pretrained_cfg = {**network.pretrained_cfg, "mean": (0.5,) * 3, "std": (0.5,) * 3}
    pixels = torch.rand(2, 3, 16, 16)
    mean, std = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])[..., None, None]
    own = FrozenBackbone(network)
    assert own.pixels.mean == (0.5, 0.5, 0.5)
    images, seen = (pixels - mean) / std, (pixels - 0.5) / 0.5
    expected = backbone.tokens(seen, [1], "key")[0].values
    torch.testing.assert_close(own.tokens(images, [1], "key")[0].values, expected)
    torch.testing.assert_close(own.global_feature(images), network(seen), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("family", ["plain", "rotary", "relative bias"])
def test_threads_with_one_network_see_their_own_images(family: str) -> None:
    backbone, _, _ = _family(family)
    batches = [torch.randn(1, 3, 16, 16) for _ in range(8)]
    alone = [backbone.attention(images, 1).values for images in batches]
    with ThreadPoolExecutor(4) as threads:
        together = threads.map(lambda images: backbone.attention(images, 1).values, batches)
        for ours, expected in zip(together, alone, strict=True):
            torch.testing.assert_close(ours, expected)
