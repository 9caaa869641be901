import pytest
import timm
import torch
from torch import nn

from dino.core.configuration.architecture import ArchitectureConfig
from dino.core.configuration.features import FeaturesConfig
from dino.core.errors import CheckpointError, ConfigurationError
from dino.data.dataset import PreparedDataset
from dino.data.normalisation import normalised
from dino.features.frozen_backbone import FrozenBackbone
from dino.features.global_features import extract_features, tokens_of_last_blocks
from dino.features.preprocessing import centre_crop_pixels
from dino.model.backbone import build_backbone


def _backbone(image_size_px: int = 8) -> nn.Module:
    torch.manual_seed(0)
    config = ArchitectureConfig(
        timm_name="vit_tiny_patch16_224",
        image_size_px=image_size_px,
        patch_size_px=2,
        embed_dim=16,
        depth=3,
        num_heads=2,
    )
    return build_backbone(config).eval()


@torch.no_grad()
def test_the_last_cls_token_is_what_the_backbone_returns() -> None:
    backbone, images = _backbone(), torch.randn(4, 3, 8, 12)
    cls_tokens, _ = tokens_of_last_blocks(FrozenBackbone(backbone), images, 3)
    assert cls_tokens.shape == (4, 3, 16)
    torch.testing.assert_close(cls_tokens[:, -1], backbone(images))


@torch.no_grad()
def test_at_the_native_size_tokens_are_those_of_timm() -> None:
    backbone, images = _backbone(), torch.randn(4, 3, 8, 8)
    cls_tokens, patch_mean = tokens_of_last_blocks(FrozenBackbone(backbone), images, 2)
    expected = backbone.forward_intermediates(
        images, indices=2, norm=True, return_prefix_tokens=True, output_fmt="NLC",
        intermediates_only=True,
    )  # fmt: skip
    torch.testing.assert_close(cls_tokens, torch.cat([prefix for _, prefix in expected], dim=1))
    torch.testing.assert_close(patch_mean, expected[-1][0].mean(dim=1))


@torch.no_grad()
@pytest.mark.parametrize("name", ["resnet10t", "xcit_nano_12_p16_224"])
def test_other_backbones_give_their_pooled_feature(name: str) -> None:
    backbone, images = timm.create_model(name, num_classes=0).eval(), torch.randn(2, 3, 64, 64)
    cls_tokens, patch_mean = tokens_of_last_blocks(FrozenBackbone(backbone), images, 1)
    torch.testing.assert_close(cls_tokens[:, 0], backbone(images))
    assert patch_mean.shape == cls_tokens[:, 0].shape
    with pytest.raises(ConfigurationError, match=r"features.last_blocks: expected 1"):
        tokens_of_last_blocks(FrozenBackbone(backbone), images, 4)


def test_a_size_that_a_backbone_does_not_take_is_a_clear_error() -> None:
    backbone = timm.create_model("swin_tiny_patch4_window7_224", num_classes=0, depths=(1, 1, 1, 1))
    with pytest.raises(ConfigurationError, match=r"crop_px: expected what SwinTran"):
        tokens_of_last_blocks(FrozenBackbone(backbone), torch.zeros(1, 3, 28, 28), 1)


def test_more_blocks_than_there_are_is_a_clear_error() -> None:
    with pytest.raises(ConfigurationError, match="at most the backbone's 3 blocks, got 4"):
        tokens_of_last_blocks(FrozenBackbone(_backbone()), torch.zeros(1, 3, 8, 8), 4)


@torch.no_grad()
def test_features_stand_in_the_order_of_the_manifest(dataset: PreparedDataset) -> None:
    network = _backbone()
    backbone = FrozenBackbone(network)
    config = FeaturesConfig(resize_px=8, crop_px=8, last_blocks=1, batch_size=37)
    features = extract_features({"a": backbone}, {"a": "sha"}, dataset, config)["a"]
    assert features.cls_tokens.shape == (len(dataset), 1, 16)
    assert (features.data, features.model) == (dataset.fingerprint, "sha")
    for index in (0, 41, len(dataset) - 1):
        pixels = centre_crop_pixels(dataset.image(index), 8, 8)
        expected = network(normalised(pixels[None]))[0]
        torch.testing.assert_close(features.cls_tokens[index, 0], expected)


def test_bf16_features_point_the_same_way(dataset: PreparedDataset) -> None:
    config = FeaturesConfig(resize_px=8, crop_px=8, last_blocks=1)
    in_bf16 = FeaturesConfig(resize_px=8, crop_px=8, last_blocks=1, precision="bf16")
    backbones, models = {"a": FrozenBackbone(_backbone())}, {"a": "sha"}
    full = extract_features(backbones, models, dataset, config)["a"].cls_tokens
    half = extract_features(backbones, models, dataset, in_bf16)["a"].cls_tokens
    assert not torch.equal(full, half)
    assert torch.nn.functional.cosine_similarity(full, half, dim=-1).min() > 0.999


def test_a_diverged_backbone_is_a_clear_error(dataset: PreparedDataset) -> None:
    backbone = _backbone()
    nn.init.constant_(backbone.norm.weight, float("nan"))
    config = FeaturesConfig(resize_px=8, crop_px=8, last_blocks=1)
    with pytest.raises(CheckpointError, match="features of a are not finite"):
        extract_features({"a": FrozenBackbone(backbone)}, {"a": "sha"}, dataset, config)
