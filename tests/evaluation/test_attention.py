from dataclasses import replace

import numpy as np
import pytest
import timm
import torch

from dino.core.configuration.architecture import ArchitectureConfig
from dino.core.configuration.attention import AttentionConfig
from dino.data.dataset import PreparedDataset
from dino.data.normalisation import normalised
from dino.evaluation.attention import (
    attention,
    attention_examples,
    attention_protocol,
    best_head_jaccard,
    pixel_masks,
)
from dino.features.attention_maps import cls_attention
from dino.metrics.jaccard import jaccard
from dino.model.backbone import ReferencePositionVit, build_backbone

CONFIG = AttentionConfig(image_size_px=16, images=25, examples=4)


@pytest.fixture(scope="module")
def backbone() -> ReferencePositionVit:
    torch.manual_seed(0)
    config = ArchitectureConfig(
        timm_name="vit_tiny_patch16_224",
        image_size_px=8,
        patch_size_px=2,
        embed_dim=16,
        depth=2,
        num_heads=2,
    )
    backbone = build_backbone(config)
    assert isinstance(backbone, ReferencePositionVit)
    return backbone


def _without_masks(dataset: PreparedDataset) -> PreparedDataset:
    return replace(dataset, manifest=dataset.manifest.assign(has_mask=False))


def test_the_best_head_is_chosen_for_each_image() -> None:
    assert best_head_jaccard(np.array([[0.2, 0.6], [0.4, 0.0]])) == 0.5


@torch.no_grad()
def test_examples_and_scores_agree_with_single_images(
    backbone: ReferencePositionVit, dataset: PreparedDataset
) -> None:
    examples = attention_examples(backbone, backbone, dataset, CONFIG)
    assert examples["class_name"].tolist() == ["0", "1", "2", "3"]
    assert examples["image"].shape == (4, 16, 16, 3)
    assert examples["patch_size_px"] == 2
    np.testing.assert_array_equal(examples["teacher_maps"], examples["random_init_maps"])
    for image in range(4):
        pixels = torch.from_numpy(examples["image"][image]).permute(2, 0, 1)[None]
        maps = cls_attention(backbone, normalised(pixels))
        np.testing.assert_allclose(maps[0], examples["teacher_maps"][image], rtol=1e-4)
        masks = pixel_masks(maps, 0.6, 2)[0]
        scores = jaccard(masks, examples["mask"][image])
        np.testing.assert_allclose(examples["teacher_jaccard"][image], scores)


def test_scores_are_means_over_images_in_percent(
    backbone: ReferencePositionVit, dataset: PreparedDataset
) -> None:
    # as many examples as images: then the examples are what is scored
    everything = replace(CONFIG, examples=CONFIG.images)
    scores = attention_examples(backbone, backbone, dataset, everything)["teacher_jaccard"]
    result = attention(backbone, dataset, CONFIG)
    assert scores.shape == (25, 2)
    assert result.jaccard == pytest.approx(100 * scores.max(axis=1).mean())
    assert result.per_head == pytest.approx(100 * scores.mean(axis=0))
    assert result.reason is None


def test_a_backbone_without_cls_attention_gives_null_with_the_reason(
    dataset: PreparedDataset,
) -> None:
    resnet = timm.create_model("resnet10t", num_classes=0)
    result = attention(resnet, dataset, CONFIG)
    assert result.jaccard is None
    assert result.reason is not None
    assert "ResNet has no self-attention" in result.reason
    assert len(attention_examples(resnet, resnet, dataset, CONFIG)["image"]) == 0


def test_images_without_masks_give_null_with_the_reason(
    backbone: ReferencePositionVit, dataset: PreparedDataset
) -> None:
    result = attention(backbone, _without_masks(dataset), CONFIG)
    assert (result.jaccard, result.reason) == (None, "no test image has a mask")
    assert attention_protocol(_without_masks(dataset), CONFIG).images == 0


def test_the_protocol_names_what_was_scored(dataset: PreparedDataset) -> None:
    protocol = attention_protocol(dataset, AttentionConfig(image_size_px=16, images=1000))
    assert (protocol.images, protocol.split) == (60, "test")
    assert protocol.masks == "approximate: non-zero pixels"
