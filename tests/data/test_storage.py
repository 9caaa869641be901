import dataclasses

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from dino.core.configuration.dataset import DatasetConfig
from dino.core.errors import DataError
from dino.data.dataset import PreparedDataset
from dino.data.preparation import prepare
from dino.data.sources.catalogue import open_source


@pytest.fixture
def config(tmp_path, image_file):
    """24 photographs of several sizes, some turned, some with a mask of objects."""
    root = tmp_path / "images"
    exif = Image.Exif()
    exif[0x0112] = 8
    rows = []
    for index in range(24):
        size = (40 + index, 30)
        image_file(root / f"{index}.jpg", size, seed=index, **({"exif": exif} if index % 2 else {}))
        mask = ""
        if index % 2 == 0:
            mask = f"{index}-mask.png"
            pixels = np.zeros((size[1], size[0]), dtype=np.uint8)
            pixels[:10], pixels[10:20, :9], pixels[25:] = 1, 2, 255
            image_file(root / mask, mode="L", pixels=pixels)
        split = ("train", "train", "val", "test")[index % 4]
        rows.append({"path": f"{index}.jpg", "split": split, "mask": mask})
    pd.DataFrame(rows).to_csv(root / "manifest.csv", index=False)
    return DatasetConfig(source="manifest", path=str(root / "manifest.csv"))


def _dataset(config, folder, **changes):
    config = dataclasses.replace(config, **changes)
    prepare(open_source(config, folder / "downloads"), config, folder)
    return PreparedDataset.open(folder)


def test_indexed_images_are_read_as_copied_ones(config, tmp_path):
    copied = _dataset(config, tmp_path / "copy")
    indexed = _dataset(config, tmp_path / "index", storage="index")
    assert indexed.fingerprint == copied.fingerprint
    assert indexed.description["root"] == str(tmp_path / "images")
    for index in range(len(copied)):
        np.testing.assert_array_equal(copied.image(index), indexed.image(index))
        np.testing.assert_array_equal(copied.objects(index), indexed.objects(index))
    sizes = [(dataset.folder / "images.arrow").stat().st_size for dataset in (copied, indexed)]
    assert sizes[1] < sizes[0] / 2


def test_masks_are_the_objects_without_what_is_void(config, tmp_path):
    dataset = _dataset(config, tmp_path)
    index = int(np.flatnonzero(dataset.manifest["has_mask"])[0])
    objects = dataset.objects(index)
    assert set(np.unique(objects)) == {0, 1, 2, 255}
    np.testing.assert_array_equal(dataset.mask(index), (objects == 1) | (objects == 2))
    without = int(np.flatnonzero(~dataset.manifest["has_mask"])[0])
    assert dataset.objects(without) is None
    assert dataset.mask(without) is None


@pytest.mark.parametrize("format", ["jpeg", "png"])
def test_packed_images_have_a_short_side_of_what_was_asked(config, tmp_path, format):
    copied = _dataset(config, tmp_path / "copy")
    packed = _dataset(
        config, tmp_path / "pack", storage="pack", pack_short_side_px=15, pack_format=format
    )
    assert packed.fingerprint != copied.fingerprint
    assert packed.description["pack"] == {"short_side_px": 15, "format": format}
    for index in range(len(packed)):
        image, original = packed.image(index), copied.image(index)
        assert min(image.size) == 15
        assert image.size == tuple(round(side / 2) for side in original.size)
        row = packed.manifest.iloc[index]
        assert image.size == (row["width_px"], row["height_px"])
        expected = original.resize(image.size, Image.Resampling.BICUBIC)
        if format == "png":
            np.testing.assert_array_equal(image, expected)
        # JPEG keeps the brightness of noise, and not its colour
        greys = (np.asarray(picture.convert("L"), dtype=float) for picture in (image, expected))
        assert np.abs(np.subtract(*greys)).mean() < 3
        objects = packed.objects(index)
        if objects is not None:
            assert objects.shape == image.size[::-1]
            assert set(np.unique(objects)) == {0, 1, 2, 255}


def test_small_images_are_not_enlarged(config, tmp_path):
    packed = _dataset(config, tmp_path, storage="pack", pack_short_side_px=1000)
    assert packed.manifest[["width_px", "height_px"]].to_numpy().min(axis=1).tolist() == [30] * 24


def test_originals_that_vanish_or_change_are_named(config, tmp_path, image_file):
    dataset = _dataset(config, tmp_path / "index", storage="index")
    first, second = (tmp_path / "images" / dataset.manifest["path"][i] for i in (0, 1))
    first.unlink()
    with pytest.raises(DataError, match=rf"{first}: cannot be read .*bring it back or run"):
        dataset.image(0)
    image_file(second, seed=99)
    with pytest.raises(DataError, match=rf"{second}: has changed since `dino prepare` indexed it"):
        dataset.image(1)


def test_images_that_are_no_files_cannot_be_indexed(tmp_path):
    config = DatasetConfig(source="digits", val_images=200, storage="index")
    with pytest.raises(DataError, match=r"storage: expected copy or pack"):
        prepare(open_source(config, tmp_path), config, tmp_path)


def test_a_mask_of_another_size_is_for_the_quarantine(config, tmp_path, image_file):
    pixels = np.zeros((3, 3), dtype=np.uint8)
    image_file(tmp_path / "images" / "0-mask.png", mode="L", pixels=pixels)
    dataset = _dataset(config, tmp_path / "copy")
    assert len(dataset) == 23
    text = (tmp_path / "copy" / "quarantine.csv").read_text()
    assert '0.jpg,train,"its mask has 3 by 3 pixels, the image 40 by 30"' in text
