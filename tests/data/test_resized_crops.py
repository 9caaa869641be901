import numpy as np
import pytest
import torch
from PIL import Image

from dino.core.configuration.dataset import DatasetConfig
from dino.data.dataset import PreparedDataset
from dino.data.preparation import prepare
from dino.data.resized_crops import ResizedCrops, ShuffledBatches
from dino.data.sources.digits import digits


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    folder = tmp_path_factory.mktemp("prepared")
    config = DatasetConfig(source="digits", val_images=20, max_train_images=50, max_test_images=20)
    prepare(digits(), config, folder)
    return PreparedDataset.open(folder)


def _crops(dataset: PreparedDataset, **changed: object) -> ResizedCrops:
    options = {"size_px": 6, "scale": (0.3, 0.9), "flip_probability": 0.5, "seed": 0}
    return ResizedCrops(dataset, **{**options, **changed})


def test_a_crop_depends_on_seed_epoch_and_image_alone(dataset: PreparedDataset) -> None:
    crops = _crops(dataset)
    first, index = crops[1, 7]
    assert index == 7 and first.shape == (3, 6, 6)
    crops[2, 9]
    assert torch.equal(crops[1, 7][0], first)
    assert not torch.equal(crops[2, 7][0], first)
    assert not torch.equal(_crops(dataset, seed=1)[1, 7][0], first)


def test_the_whole_image_without_a_flip_is_its_resize(dataset: PreparedDataset) -> None:
    crop, _ = _crops(dataset, scale=(1.0, 1.0), flip_probability=0.0)[1, 3]
    flipped, _ = _crops(dataset, scale=(1.0, 1.0), flip_probability=1.0)[1, 3]
    whole = dataset.image(3).resize((6, 6), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(crop[0], np.asarray(whole))
    assert torch.equal(flipped, crop.flip(2))


def test_an_epoch_has_every_image_once_in_an_order_of_its_own() -> None:
    images = np.arange(10, 33)
    order = ShuffledBatches(images, 8, seed=0)
    epochs = []
    for order.epoch in (1, 1, 2):
        epochs.append(list(order))
    assert len(order) == 3
    assert epochs[0] == epochs[1] != epochs[2]
    assert [len(batch) for batch in epochs[0]] == [8, 8, 7]
    for number, batches in zip((1, 1, 2), epochs, strict=True):
        keys = [key for batch in batches for key in batch]
        assert {epoch for epoch, _ in keys} == {number}
        assert sorted(image for _, image in keys) == images.tolist()
