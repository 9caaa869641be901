import pytest
import timm
import torch

from dino.core.configuration.architecture import ArchitectureConfig
from dino.features.attention_maps import (
    cls_attention,
    last_self_attention,
    masks_of_mass,
    no_cls_attention,
    upsampled,
)
from dino.model.backbone import build_backbone
from dino.model.reference_vit import ReferencePositionVit


def _backbone() -> ReferencePositionVit:
    config = ArchitectureConfig(
        timm_name="vit_tiny_patch16_224",
        image_size_px=16,
        patch_size_px=4,
        embed_dim=16,
        depth=2,
        num_heads=2,
    )
    backbone = build_backbone(config).eval()
    assert isinstance(backbone, ReferencePositionVit)
    return backbone


@torch.no_grad()
def test_attention_is_what_the_last_block_multiplies_values_with() -> None:
    backbone, images = _backbone(), torch.randn(2, 3, 16, 24)
    seen: list[torch.Tensor] = []
    last = backbone.blocks[-1].attn
    last.fused_attn = False
    last.attn_drop.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    backbone(images)
    torch.testing.assert_close(last_self_attention(backbone, images), seen[0])


@torch.no_grad()
def test_cls_attention_is_the_first_row_without_cls() -> None:
    backbone, images = _backbone(), torch.randn(2, 3, 16, 24)
    maps = cls_attention(backbone, images)
    assert maps.shape == (2, 2, 4, 6)
    expected = last_self_attention(backbone, images)[:, :, 0, 1:]
    torch.testing.assert_close(maps.flatten(2), expected)


@pytest.mark.parametrize("name", ["resnet10t", "xcit_nano_12_p16_224"])
def test_backbones_without_cls_attention_say_why(name: str) -> None:
    reason = no_cls_attention(timm.create_model(name, num_classes=0))
    assert reason is not None
    assert "no self-attention of a [CLS] token" in reason
    backbone = _backbone()
    assert no_cls_attention(backbone) is None
    backbone.patch_embed.patch_size = (8, 4)
    assert no_cls_attention(backbone) == "its patches are not square but 8 x 4 px"


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
