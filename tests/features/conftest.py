"""A small data set of real images."""

from pathlib import Path

import pytest

from dino.core.configuration.dataset import DatasetConfig
from dino.data.dataset import PreparedDataset
from dino.data.preparation import prepare
from dino.data.sources.digits import digits


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    """150 + 50 + 60 digits of 8 px."""
    folder: Path = tmp_path_factory.mktemp("prepared")
    config = DatasetConfig(source="digits", val_images=50, max_train_images=150, max_test_images=60)
    prepare(digits(), config, folder)
    return PreparedDataset.open(folder)
