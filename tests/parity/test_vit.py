import numpy as np
import pytest
import torch
from networks import architecture_of, arrays_below, assert_close

from dino.core.configuration.architecture import ArchitectureConfig
from dino.features.frozen_backbone import FrozenBackbone
from dino.features.global_features import tokens_of_last_blocks
from dino.model.backbone import build_backbone


@pytest.fixture(scope="module")
def vit(golden):
    file = golden("vit")
    backbone = build_backbone(architecture_of(file)).eval()
    backbone.load_state_dict(arrays_below(file, "state/"))
    return file, backbone


def test_features_and_attention_are_the_references_at_every_size(vit):
    file, backbone = vit
    for height, width in file["sizes"]:
        size = f"in{height}x{width}"
        images = torch.from_numpy(file[f"{size}/x"])
        assert_close(backbone(images), file[f"{size}/cls"], atol=2e-5)
        frozen = FrozenBackbone(backbone)
        assert_close(frozen.attention(images).values, file[f"{size}/attn"], atol=5e-6)
        blocks = sum(name.startswith(f"{size}/inter") for name in file)
        cls_tokens, patch_mean = tokens_of_last_blocks(frozen, images, blocks)
        for block in range(blocks):
            expected = file[f"{size}/inter{block}"]
            assert_close(cls_tokens[:, block], expected[:, 0], atol=2e-5)
        assert_close(patch_mean, expected[:, 1:].mean(axis=1), atol=2e-5)


def test_positions_are_the_references_at_every_size(vit):
    file, backbone = vit
    patch = int(file["cfg/patch_size"])
    for height, width in file["sizes"]:
        images = torch.zeros(1, 3, int(height), int(width))
        expected = file[f"in{height}x{width}/pos"]
        # what is added to the tokens: with and without positions, on the same images
        with_positions = backbone.prepare_tokens(images)
        bare = backbone.patch_embed.proj(images).flatten(2).transpose(1, 2)
        bare = torch.cat([backbone.cls_token, bare], dim=1)
        assert with_positions.shape[1] == 1 + (height // patch) * (width // patch)
        assert_close(with_positions - bare, expected, atol=1e-5)


def test_gradients_are_the_references(vit):
    file, backbone = vit
    backbone.zero_grad()
    features = backbone(torch.from_numpy(file[str(file["grad_input"])]))
    (features * torch.from_numpy(file["grad_upstream"])).sum().backward()
    for name, expected in arrays_below(file, "grad/").items():
        actual = backbone.get_parameter(name).grad
        assert_close(actual, expected.numpy(), atol=1e-4, rtol=1e-3)


def test_drop_path_rises_linearly_with_depth(golden):
    expected = golden("vit")["drop_path_rates_vit_tiny_0.1"]
    config = ArchitectureConfig(timm_name="vit_tiny_patch16_224")
    blocks = build_backbone(config, drop_path=0.1).blocks
    rates = [getattr(block.drop_path1, "drop_prob", 0.0) for block in blocks]
    np.testing.assert_allclose(rates, expected, atol=1e-7)
