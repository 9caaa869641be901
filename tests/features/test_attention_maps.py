import pytest
import timm
import torch
from torch import nn

from dino.core.configuration.architecture import ArchitectureConfig
from dino.features.attention_maps import (
    cls_attention,
    masks_of_mass,
    no_cls_attention,
    upsampled,
)
from dino.features.frozen_backbone import FrozenBackbone
from dino.model.backbone import build_backbone


def _backbone() -> nn.Module:
    config = ArchitectureConfig(
        timm_name="vit_tiny_patch16_224",
        image_size_px=16,
        patch_size_px=4,
        embed_dim=16,
        depth=2,
        num_heads=2,
    )
    return build_backbone(config).eval()


@torch.no_grad()
def test_attention_is_what_the_last_block_multiplies_values_with() -> None:
    network, images = _backbone(), torch.randn(2, 3, 16, 24)
    seen: list[torch.Tensor] = []
    last = network.blocks[-1].attn
    last.fused_attn = False
    last.attn_drop.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    network(images)
    maps = cls_attention(FrozenBackbone(network), images)
    assert maps.shape == (2, 2, 4, 6)
    torch.testing.assert_close(maps.flatten(2), seen[0][:, :, 0, 1:])


@pytest.mark.parametrize("name", ["resnet10t", "xcit_nano_12_p16_224"])
def test_backbones_without_cls_attention_say_why(name: str) -> None:
    reason = no_cls_attention(FrozenBackbone(timm.create_model(name, num_classes=0)))
    assert reason is not None
    assert "no self-attention of a [CLS] token" in reason
    assert no_cls_attention(FrozenBackbone(_backbone())) is None


def test_patches_that_are_no_squares_have_no_masks() -> None:
    oblong = timm.create_model("vit_tiny_patch16_224", num_classes=0, depth=1, patch_size=(8, 4))
    reason = no_cls_attention(FrozenBackbone(oblong))
    assert reason == "its patches are not square but 8 x 4 px"


def test_masks_keep_the_fewest_patches_of_the_mass() -> None:
    maps = torch.tensor([[0.1, 0.4], [0.2, 0.3]])
    assert masks_of_mass(maps, 0.35).tolist() == [[False, True], [False, False]]
    assert masks_of_mass(maps, 0.6).tolist() == [[False, True], [False, True]]
    assert masks_of_mass(maps, 0.85).tolist() == [[False, True], [True, True]]


def test_masks_do_not_depend_on_the_scale_of_a_map_or_on_other_maps() -> None:
    maps = torch.rand(3, 2, 5, 4)
    masks = masks_of_mass(maps, 0.6)
    assert torch.equal(masks_of_mass(8 * maps, 0.6), masks)
    for image in range(3):
        assert torch.equal(masks_of_mass(maps[image], 0.6), masks[image])


def test_every_pixel_has_its_patches_value() -> None:
    maps = torch.rand(1, 2, 3, 4)
    pixels = upsampled(maps, 5)
    assert pixels.shape == (1, 2, 15, 20)
    assert torch.equal(pixels, maps.repeat_interleave(5, dim=2).repeat_interleave(5, dim=3))
