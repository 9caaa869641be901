import copy

import pytest
import timm
import torch

from dino.core.artifacts import read_json
from dino.core.configuration.architecture import ArchitectureConfig
from dino.data.normalisation import normalised
from dino.features.attention_maps import cls_attention, no_cls_attention
from dino.features.global_features import tokens_of_last_blocks
from dino.features.teacher import load_backbone, load_trainable_backbone, save_backbone
from dino.model.student_teacher import initial_backbone
from dino.model.timm_folder import PixelStatistics

ARCHITECTURE = ArchitectureConfig(
    timm_name="vit_tiny_patch16_224",
    image_size_px=28,
    patch_size_px=7,
    embed_dim=32,
    depth=3,
    num_heads=4,
)


def test_plain_timm_opens_the_folder_with_the_same_features(tmp_path):
    backbone = initial_backbone(ARCHITECTURE, seed=1).eval()
    save_backbone(tmp_path / "teacher", ARCHITECTURE, backbone.state_dict())
    plain = timm.create_model(f"local-dir:{tmp_path / 'teacher'}", pretrained=True).eval()
    images = torch.randn(2, 3, 28, 28)
    torch.testing.assert_close(plain(images), backbone(images), atol=3e-6, rtol=0)


def test_our_loader_keeps_the_references_positions_at_other_sizes(tmp_path):
    backbone = initial_backbone(ARCHITECTURE, seed=1).eval()
    save_backbone(tmp_path, ARCHITECTURE, backbone.state_dict())
    images = torch.randn(2, 3, 56, 42)
    torch.testing.assert_close(load_backbone(tmp_path).global_feature(images), backbone(images))


@pytest.mark.parametrize("name", ["vit", "resnet10t"])
def test_a_network_that_was_trained_on_other_pixels_sees_those(tmp_path, name):
    architecture = ARCHITECTURE if name == "vit" else ArchitectureConfig(timm_name=name)
    weights = initial_backbone(architecture, seed=1).state_dict()
    statistics = PixelStatistics(mean=(0.5,) * 3, std=(0.25, 0.5, 0.5), crop_share=0.9)
    save_backbone(tmp_path / "own", architecture, weights, statistics)
    pixels = torch.randint(256, (2, 3, 28, 28), dtype=torch.uint8)
    own = (pixels / 255 - 0.5) / torch.tensor(statistics.std).view(3, 1, 1)
    plain = timm.create_model(f"local-dir:{tmp_path / 'own'}", pretrained=True).eval()
    loaded = load_backbone(tmp_path / "own")
    with torch.no_grad():
        expected = plain(own)
        trainable = load_trainable_backbone(tmp_path / "own", drop_path=0.0).eval()
        for feature in (
            loaded.global_feature(normalised(pixels)),
            tokens_of_last_blocks(loaded, normalised(pixels), 1)[0][:, 0],
            trainable(normalised(pixels)),
            copy.deepcopy(trainable)(normalised(pixels)),
        ):
            torch.testing.assert_close(feature, expected, atol=1e-5, rtol=1e-5)
    assert loaded.pixels == statistics
    if name == "vit":
        save_backbone(tmp_path / "project", architecture, weights)
        maps = cls_attention(load_backbone(tmp_path / "project"), own)
        torch.testing.assert_close(cls_attention(loaded, normalised(pixels)), maps)
    assert read_json(tmp_path / "own" / "config.json")["pretrained_cfg"]["crop_pct"] == 0.9


@pytest.mark.parametrize(
    ("name", "attends"),
    [
        ("vit_small_patch14_reg4_dinov2", True),
        ("vit_base_patch16_siglip_224", False),
        ("deit_tiny_distilled_patch16_224", True),
        ("vit_relpos_small_patch16_224", False),
        ("swin_tiny_patch4_window7_224", False),
    ],
)
def test_other_transformers_give_their_pooled_feature_and_attention_or_why_not(
    tmp_path, name, attends
):
    small = {"depth": 2} if "swin" not in name else {}
    size_px = 224 if "224" in name else 56
    architecture = ArchitectureConfig(timm_name=name, image_size_px=size_px, **small)
    backbone = initial_backbone(architecture, seed=1).eval()
    save_backbone(tmp_path, architecture, backbone.state_dict())
    assert "positions_at_other_sizes" not in read_json(tmp_path / "config.json")
    loaded, images = load_backbone(tmp_path), torch.randn(1, 3, size_px, size_px)
    if attends:
        assert no_cls_attention(loaded) is None
        rows, columns = loaded.grid_of((size_px, size_px))
        assert cls_attention(loaded, images).shape == (1, loaded.heads, rows, columns)
    else:
        assert "no self-attention of a [CLS] token" in no_cls_attention(loaded)
    cls_tokens, patch_mean = tokens_of_last_blocks(loaded, images, 1)
    with torch.no_grad():
        torch.testing.assert_close(cls_tokens[:, 0], backbone(images))
    assert patch_mean.shape == cls_tokens[:, 0].shape
