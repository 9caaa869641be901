from dataclasses import replace

import numpy as np
import pytest
import timm
import torch

from dino.core.configuration.architecture import ArchitectureConfig
from dino.core.configuration.attention import AttentionConfig
from dino.data.dataset import PreparedDataset
from dino.data.normalisation import normalised
from dino.evaluation import attention_explorer as module
from dino.evaluation.attention_explorer import attention_explorer, cells_of
from dino.features.frozen_backbone import FrozenBackbone
from dino.model.backbone import build_backbone

CONFIG = AttentionConfig(image_size_px=16)


@pytest.fixture(scope="module")
def models() -> dict[str, FrozenBackbone]:
    config = ArchitectureConfig(
        timm_name="vit_tiny_patch16_224",
        image_size_px=8,
        patch_size_px=2,
        embed_dim=16,
        depth=2,
        num_heads=2,
    )
    torch.manual_seed(0)
    return {name: FrozenBackbone(build_backbone(config)) for name in ("teacher", "random_init")}


def _shares(arrays: dict[str, np.ndarray], model: str) -> np.ndarray:
    """The attention that the bytes stand for."""
    rows = arrays[f"explorer_{model}_row_maximum"][..., None]
    return arrays[f"explorer_{model}_attention"] / 255 * rows


def _pixels(arrays: dict[str, np.ndarray]) -> torch.Tensor:
    images = torch.from_numpy(arrays["explorer_image"])
    return normalised(images.permute(0, 3, 1, 2))


@torch.no_grad()
def test_bytes_stand_for_the_attention_and_the_cosines(
    models: dict[str, FrozenBackbone], dataset: PreparedDataset
) -> None:
    arrays = attention_explorer(models, dataset, CONFIG)
    assert arrays["explorer_class_name"].tolist() == ["0", "1", "2", "3", "4", "5"]
    assert arrays["explorer_reason"] == ""
    for name, model in models.items():
        expected = model.attention(_pixels(arrays)).values.numpy()
        shares = _shares(arrays, name)
        assert shares.shape == (6, 2, 65, 65)
        np.testing.assert_allclose(shares, expected, atol=expected.max() / 500)
        _, features = model.feature_and_patches(_pixels(arrays))
        cosines = torch.nn.functional.cosine_similarity(features[:, None], features[:, :, None], -1)
        lowest = arrays[f"explorer_{name}_lowest_similarity"][:, None, None]
        found = lowest + (1 - lowest) * arrays[f"explorer_{name}_similarity"] / 255
        np.testing.assert_allclose(found, cosines, atol=1 / 200)
    assert (arrays["explorer_teacher_attention"] != arrays["explorer_random_init_attention"]).any()


@torch.no_grad()
def test_fine_grids_are_averaged_over_squares_of_patches(
    models: dict[str, FrozenBackbone],
    dataset: PreparedDataset,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "LARGEST_GRID", 4)
    arrays = attention_explorer(models, dataset, CONFIG)
    assert arrays["explorer_patches_per_cell"] == 2
    shares = _shares(arrays, "teacher")
    assert shares.shape == (6, 2, 17, 17)
    np.testing.assert_allclose(shares.sum(axis=-1), 1, atol=0.02)
    teacher = models["teacher"]
    fine = teacher.attention(_pixels(arrays)).values.numpy()
    of_cls = fine[:, :, 0, 1:].reshape(6, 2, 4, 2, 4, 2).sum(axis=(3, 5)).reshape(6, 2, 16)
    np.testing.assert_allclose(shares[:, :, 0, 1:], of_cls, atol=1e-3)
    # the second cell's patches are the third and fourth of the first two rows
    rows = fine[:, :, [3, 4, 11, 12], 0].mean(axis=-1)
    np.testing.assert_allclose(shares[:, :, 2, 0], rows, atol=1e-3)


@pytest.mark.parametrize(
    ("grid", "expected"), [(8, (1, 8)), (14, (1, 14)), (30, (3, 10)), (60, (5, 12)), (17, (2, 8))]
)
def test_cells_are_squares_of_whole_patches(grid: int, expected: tuple[int, int]) -> None:
    assert cells_of(grid) == expected


def test_images_without_labels_or_masks_are_spread_over_the_split(
    models: dict[str, FrozenBackbone], dataset: PreparedDataset
) -> None:
    unlabelled = dataset.manifest.assign(has_mask=False, label=-1)
    arrays = attention_explorer(models, replace(dataset, manifest=unlabelled), CONFIG)
    test = dataset.manifest["id"].to_numpy()[dataset.indices("test")]
    assert arrays["explorer_id"].tolist() == test[::10].tolist()


def test_without_cls_attention_there_is_the_reason(dataset: PreparedDataset) -> None:
    resnet = FrozenBackbone(timm.create_model("resnet10t", num_classes=0))
    arrays = attention_explorer({"teacher": resnet}, dataset, CONFIG)
    assert "ResNet has no self-attention" in str(arrays["explorer_reason"])
    assert len(arrays["explorer_image"]) == 0
