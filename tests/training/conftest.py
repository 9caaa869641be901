import pytest

from dino.core.configuration.dataset import DatasetConfig
from dino.data.dataset import PreparedDataset
from dino.data.preparation import prepare
from dino.data.sources.digits import digits


@pytest.fixture(scope="session")
def dataset(tmp_path_factory):
    """Digits: 100 to train on, 50 held out."""
    folder = tmp_path_factory.mktemp("digits")
    config = DatasetConfig(source="digits", val_images=50, max_train_images=100, max_test_images=20)
    prepare(digits(), config, folder)
    return PreparedDataset.open(folder)
