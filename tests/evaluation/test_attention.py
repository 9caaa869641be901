from dataclasses import replace

import numpy as np
import pytest
import timm
import torch

from dino.core.configuration.attention import AttentionConfig
from dino.data.dataset import PreparedDataset
from dino.data.normalisation import normalised
from dino.evaluation.attention import (
    AttentionResult,
    attention,
    attention_protocol,
    image_scores,
    image_table,
    pixel_masks,
)
from dino.evaluation.attention_examples import (
    attention_examples,
    ranked_examples,
    shown_ranks,
)
from dino.evaluation.masked_images import scored_images
from dino.features.attention_maps import cls_attention
from dino.features.frozen_backbone import FrozenBackbone
from dino.metrics.intervals import mean_interval
from dino.metrics.jaccard import jaccard

CONFIG = AttentionConfig(image_size_px=16, images=25, examples=4)


def _without_masks(dataset: PreparedDataset) -> PreparedDataset:
    return replace(dataset, manifest=dataset.manifest.assign(has_mask=False))


# two images: one with one object and one with two; two heads, and last their mean
TABLES = [np.array([[0.2, 0.6, 0.3]]), np.array([[0.4, 0.0, 0.1], [0.1, 0.5, 0.2]])]


def test_paper_takes_the_best_head_of_each_object() -> None:
    scores = image_scores("paper", TABLES)
    assert scores.jaccards.tolist() == pytest.approx([60, 45])
    assert scores.heads == ("1", "0 1")


def test_a_fixed_head_is_the_same_for_every_image() -> None:
    scores = image_scores("best_head_fixed", TABLES, fixed_head=1)
    assert scores.jaccards.tolist() == pytest.approx([60, 25])
    assert scores.heads == ("1", "1 1")


def test_mean_of_heads_chooses_none() -> None:
    scores = image_scores("mean_of_heads", TABLES)
    assert scores.jaccards.tolist() == pytest.approx([30, 15])
    assert scores.heads == ("", "")


@torch.no_grad()
def test_examples_and_scores_agree_with_single_images(
    backbone: FrozenBackbone, dataset: PreparedDataset
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
    backbone: FrozenBackbone, dataset: PreparedDataset
) -> None:
    # as many examples as images: then the examples are what is scored
    everything = replace(CONFIG, examples=CONFIG.images)
    scores = attention_examples(backbone, backbone, dataset, everything)["teacher_jaccard"]
    result = attention(backbone, dataset, CONFIG)
    assert scores.shape == (25, 2)
    assert set(result.scores) == {
        f"{protocol}@{mass}" for protocol in CONFIG.protocols for mass in (0.6, 0.8)
    }
    score = result.scores["paper@0.6"]
    assert score.jaccard == pytest.approx(100 * scores.max(axis=1).mean())
    assert score.per_head == pytest.approx(100 * scores.mean(axis=0))
    assert score.interval == mean_interval(result.images["paper@0.6"].jaccards)
    assert result.reason is None


def test_the_fixed_head_is_the_best_of_the_training_images(
    backbone: FrozenBackbone, dataset: PreparedDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    # scored on the images that the head is chosen on, it is the best head of the scored images
    monkeypatch.setattr("dino.evaluation.attention.selection_images", scored_images)
    score = attention(backbone, dataset, CONFIG).scores["best_head_fixed@0.8"]
    assert score.head == int(np.argmax(score.per_head))
    assert score.jaccard == pytest.approx(max(score.per_head))


@torch.no_grad()
def test_mean_of_heads_is_the_mask_of_the_mean_map(
    backbone: FrozenBackbone, dataset: PreparedDataset
) -> None:
    images = scored_images(dataset, replace(CONFIG, images=3))
    pixels, truth = next(images.batches())
    maps = cls_attention(backbone, normalised(torch.from_numpy(pixels).permute(0, 3, 1, 2)))
    masks = pixel_masks(maps.mean(dim=1, keepdim=True), 0.6, 2)
    result = attention(backbone, dataset, replace(CONFIG, images=3))
    expected = 100 * jaccard(masks[:, 0], truth == 1)
    np.testing.assert_allclose(result.images["mean_of_heads@0.6"].jaccards, expected)


def test_without_training_masks_there_is_no_fixed_head(
    backbone: FrozenBackbone, dataset: PreparedDataset
) -> None:
    only_test = dataset.manifest.assign(has_mask=dataset.manifest["split"] == "test")
    result = attention(backbone, replace(dataset, manifest=only_test), CONFIG)
    score = result.scores["best_head_fixed@0.6"]
    assert (score.jaccard, score.reason) == (None, "no training image has a mask")
    assert result.scores["paper@0.6"].jaccard is not None
    assert "best_head_fixed@0.6" not in result.images


def test_the_table_of_images_has_the_means_of_the_scores(
    backbone: FrozenBackbone, dataset: PreparedDataset
) -> None:
    result = attention(backbone, dataset, CONFIG)
    nothing = AttentionResult(scores={}, images={}, reason="no attention")
    table = image_table(
        {"teacher": result, "random_init": nothing}, scored_images(dataset, CONFIG), CONFIG
    )
    assert len(table) == 25
    assert table["class_name"].isin(dataset.classes).all()
    for key, score in result.scores.items():
        assert table[f"teacher_{key}"].mean() == pytest.approx(score.jaccard)
        assert table[f"random_init_{key}"].isna().all()
    assert set(table["teacher_paper@0.6_head"]) <= {"0", "1"}


def test_ranked_examples_are_the_best_the_median_and_the_worst(
    backbone: FrozenBackbone, dataset: PreparedDataset
) -> None:
    scores = attention(backbone, dataset, CONFIG).images["paper@0.6"].jaccards
    ranked = ranked_examples(backbone, dataset, CONFIG, scores)
    assert ranked["ranked_rank"].tolist() == [1, 2, 3, 12, 13, 14, 23, 24, 25]
    expected = np.sort(scores)[::-1][ranked["ranked_rank"] - 1]
    np.testing.assert_allclose(ranked["ranked_jaccard"], expected)
    for mask, truth, score in zip(
        ranked["ranked_mask"], ranked["ranked_truth"], ranked["ranked_jaccard"], strict=True
    ):
        assert 100 * jaccard(mask, truth == 1) == pytest.approx(score)


def test_few_images_are_ranked_once_each() -> None:
    assert shown_ranks(4, 3).tolist() == [0, 1, 2, 3]
    assert shown_ranks(0, 3).tolist() == []


def test_a_backbone_without_cls_attention_gives_null_with_the_reason(
    dataset: PreparedDataset,
) -> None:
    resnet = FrozenBackbone(timm.create_model("resnet10t", num_classes=0))
    result = attention(resnet, dataset, CONFIG)
    assert result.scores == {}
    assert result.reason is not None
    assert "ResNet has no self-attention" in result.reason
    assert len(attention_examples(resnet, resnet, dataset, CONFIG)["image"]) == 0
    assert len(ranked_examples(resnet, dataset, CONFIG, None)["ranked_image"]) == 0


def test_images_without_masks_give_null_with_the_reason(
    backbone: FrozenBackbone, dataset: PreparedDataset
) -> None:
    result = attention(backbone, _without_masks(dataset), CONFIG)
    assert (result.scores, result.reason) == ({}, "no test image has a mask")
    assert attention_protocol(_without_masks(dataset), CONFIG).images == 0


def test_the_protocol_names_what_was_scored(dataset: PreparedDataset) -> None:
    protocol = attention_protocol(dataset, AttentionConfig(image_size_px=16, images=1000))
    assert (protocol.images, protocol.split) == (60, "test")
    assert (protocol.selection_images, protocol.selection_split) == (150, "train")
    assert (protocol.objects, protocol.void) == ("foreground", "ignore")
    assert protocol.masks == "approximate: non-zero pixels"


def test_images_without_masks_have_maps_and_no_scores(
    backbone: FrozenBackbone, dataset: PreparedDataset
) -> None:
    examples = attention_examples(backbone, backbone, _without_masks(dataset), CONFIG)
    assert len(examples["image"]) == len(examples["teacher_maps"]) == CONFIG.examples
    assert len(examples["mask"]) == len(examples["teacher_jaccard"]) == 0
    pixels = torch.from_numpy(examples["image"][0]).permute(2, 0, 1)[None]
    expected = cls_attention(backbone, normalised(pixels))[0].detach()
    np.testing.assert_allclose(examples["teacher_maps"][0], expected, rtol=1e-4)
