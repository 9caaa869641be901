"""A small data set of real images, and a small network."""

from pathlib import Path

import pytest
import torch

from dino.core.configuration.architecture import ArchitectureConfig
from dino.core.configuration.dataset import DatasetConfig
from dino.data.dataset import PreparedDataset
from dino.data.preparation import prepare
from dino.data.sources.digits import digits
from dino.features.frozen_backbone import FrozenBackbone
from dino.model.backbone import build_backbone


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    """150 + 50 + 60 digits of 8 px."""
    folder: Path = tmp_path_factory.mktemp("prepared")
    config = DatasetConfig(source="digits", val_images=50, max_train_images=150, max_test_images=60)
    prepare(digits(), config, folder)
    return PreparedDataset.open(folder)


@pytest.fixture(scope="module")
def backbone() -> FrozenBackbone:
    """A vision transformer of two blocks with random weights, for images of 8 px."""
    torch.manual_seed(0)
    config = ArchitectureConfig(
        timm_name="vit_tiny_patch16_224",
        image_size_px=8,
        patch_size_px=2,
        embed_dim=16,
        depth=2,
        num_heads=2,
    )
    return FrozenBackbone(build_backbone(config))
