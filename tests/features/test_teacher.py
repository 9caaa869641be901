from pathlib import Path

import pytest
import torch

from dino.core.configuration.architecture import ArchitectureConfig
from dino.core.errors import DinoError
from dino.features.teacher import load_backbone, load_trainable_backbone, save_backbone
from dino.model.backbone import build_backbone
from dino.model.drop_path import drop_probabilities, replace_drop_path

ARCHITECTURE = ArchitectureConfig(
    timm_name="vit_tiny_patch16_224",
    image_size_px=8,
    patch_size_px=2,
    embed_dim=16,
    depth=3,
    num_heads=2,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_backbone(tmp_path, ARCHITECTURE, build_backbone(ARCHITECTURE).state_dict())
    return tmp_path


@torch.no_grad()
def test_a_trainable_backbone_is_the_frozen_one_with_drop_path(folder: Path) -> None:
    frozen, trainable = load_backbone(folder), load_trainable_backbone(folder, drop_path=0.2)
    assert not frozen.training and trainable.training
    assert replace_drop_path(trainable) == 4
    assert drop_probabilities(trainable) == pytest.approx([0.1, 0.1, 0.2, 0.2])
    images = torch.randn(2, 3, 8, 8)
    torch.testing.assert_close(trainable.eval()(images), frozen(images))


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DinoError, match="not found"):
        load_trainable_backbone(tmp_path / "none", drop_path=0.0)
