import dataclasses

import numpy as np
import pytest

from dino.core.configuration.dataset import DatasetConfig
from dino.core.errors import DataError
from dino.data.dataset import PreparedDataset
from dino.data.preparation import prepare
from dino.data.sources.digits import digits

CONFIG = DatasetConfig(source="digits", val_images=200)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("digits")
    prepare(digits(), CONFIG, folder)
    return PreparedDataset.open(folder)


def test_every_image_is_in_one_split(dataset):
    assert len(dataset) == 1797
    assert dataset.manifest["id"].is_unique
    assert dataset.manifest["split"].value_counts().to_dict() == {
        "train": 1237,
        "test": 360,
        "val": 200,
    }


def test_the_held_out_images_are_stratified(dataset):
    counts = np.bincount(dataset.labels("val"))
    assert counts.min() >= 19
    assert counts.max() <= 21


def test_images_and_masks_come_back_as_they_went_in(dataset):
    source = digits()
    index = int(dataset.indices("test")[5])
    pixels = np.asarray(dataset.image(index))
    assert pixels.shape == (8, 8)
    assert dataset.image(index).mode == "L"
    np.testing.assert_array_equal(dataset.mask(index), pixels > 0)
    assert dataset.manifest["sha256"][index] == source.test.read(5).sha256


def test_a_second_preparation_is_byte_identical(dataset, tmp_path):
    prepare(digits(), CONFIG, tmp_path)
    for name in ("manifest.parquet", "images.arrow", "dataset.json"):
        assert (tmp_path / name).read_bytes() == (dataset.folder / name).read_bytes()


def test_another_seed_holds_out_other_images(dataset, tmp_path):
    description = prepare(digits(), dataclasses.replace(CONFIG, seed=1), tmp_path)
    assert description["fingerprint"] != dataset.fingerprint


def test_limits_keep_the_share_of_the_classes(tmp_path):
    config = dataclasses.replace(CONFIG, max_train_images=300, max_test_images=50)
    description = prepare(digits(), config, tmp_path)
    assert description["counts"] == {"train": 300, "val": 200, "test": 50}


def test_holding_out_everything_is_refused(tmp_path):
    with pytest.raises(DataError, match="fewer than the 1437 training images"):
        prepare(digits(), dataclasses.replace(CONFIG, val_images=5000), tmp_path)


def test_a_class_without_an_image_is_named(tmp_path):
    source = digits()
    keep = np.flatnonzero(source.test.labels != 7)
    test = dataclasses.replace(
        source.test, ids=[source.test.ids[i] for i in keep], labels=source.test.labels[keep]
    )
    with pytest.raises(DataError, match=r"every class in the test split, got none of 7"):
        prepare(dataclasses.replace(source, test=test), CONFIG, tmp_path)


def test_an_empty_split_is_named(tmp_path):
    source = digits()
    empty = dataclasses.replace(source.test, ids=[], labels=source.test.labels[:0])
    with pytest.raises(DataError, match="the test split has no image"):
        prepare(dataclasses.replace(source, test=empty), CONFIG, tmp_path)


def test_missing_and_damaged_files_are_named(tmp_path):
    with pytest.raises(DataError, match=r"manifest\.parquet: not found; run `dino prepare --"):
        PreparedDataset.open(tmp_path)
    prepare(digits(), CONFIG, tmp_path)
    images = tmp_path / "images.arrow"
    images.write_bytes(images.read_bytes()[:1000])
    with pytest.raises(DataError, match=r"images\.arrow: cannot be read"):
        PreparedDataset.open(tmp_path)


def test_objects_are_the_foreground_where_the_source_tells_none_apart(dataset):
    index = int(dataset.indices("test")[0])
    objects = dataset.objects(index)
    assert objects.dtype == np.uint8
    np.testing.assert_array_equal(objects, dataset.mask(index).astype(np.uint8))
