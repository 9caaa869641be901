from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from dino.core.configuration.attention import AttentionConfig
from dino.core.configuration.knn import KnnConfig
from dino.data.dataset import PreparedDataset
from dino.evaluation.baselines import box_mask, centre_box, otsu, otsu_mask, raw_pixels
from dino.evaluation.knn import knn
from dino.features.labelled_splits import labelled_splits

CONFIG = AttentionConfig(image_size_px=16, images=60)


def test_small_images_are_their_pixels(dataset: PreparedDataset) -> None:
    pixels = raw_pixels(dataset)
    assert pixels.shape == (len(dataset), 64)
    np.testing.assert_allclose(pixels[3] * 255, np.asarray(dataset.image(3)).ravel(), rtol=1e-6)


def test_images_of_unequal_size_become_grey_squares_of_32_px(
    dataset: PreparedDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = dataset.manifest.assign(width_px=np.arange(len(dataset)) + 40, height_px=40)
    images = [Image.new("RGB", (width, 40), (width % 256, 9, 9)) for width in sizes["width_px"]]
    monkeypatch.setattr(PreparedDataset, "image", lambda self, index: images[index])
    pixels = raw_pixels(replace(dataset, manifest=sizes))
    assert pixels.shape == (len(dataset), 32 * 32)
    assert pixels[7].unique().tolist() == pytest.approx(
        [np.asarray(images[7].convert("L"))[0, 0] / 255]
    )


def test_raw_pixels_tell_digits_apart(dataset: PreparedDataset) -> None:
    splits = labelled_splits(raw_pixels(dataset), dataset.manifest, dataset.classes)
    result = knn(splits, KnnConfig(neighbours=(5,), headline=5))
    assert result.test[5].top1 > 80


def test_the_box_is_centred_and_has_its_share() -> None:
    mask = box_mask(0.25, 16)
    assert mask.mean() == 0.25
    assert mask[4:12, 4:12].all()
    assert not box_mask(0.0, 16).any()
    assert box_mask(1.0, 16).all()


def test_the_box_has_the_share_of_the_training_masks(dataset: PreparedDataset) -> None:
    result = centre_box(dataset, CONFIG)
    shares = [dataset.mask(int(i)).mean() for i in dataset.indices("train")]
    assert result.area_share == pytest.approx(np.mean(shares))
    assert result.jaccard is not None
    assert 20 < result.jaccard < 100
    assert result.interval is not None
    assert result.interval[0] < result.jaccard < result.interval[1]


@pytest.mark.parametrize("inverted", [False, True])
def test_otsu_finds_what_the_border_does_not_touch(inverted: bool) -> None:
    truth = np.zeros((20, 20), dtype=bool)
    truth[5:15, 4:12] = True
    grey = np.where(truth ^ inverted, 200, 30).astype(np.uint8)
    assert np.array_equal(otsu_mask(np.repeat(grey[:, :, None], 3, axis=2)), truth)


def test_a_constant_image_has_no_object() -> None:
    assert not otsu_mask(np.full((8, 8, 3), 7, dtype=np.uint8)).any()


def test_otsu_beats_the_box_on_bright_digits(dataset: PreparedDataset) -> None:
    by_otsu, by_box = otsu(dataset, CONFIG).jaccard, centre_box(dataset, CONFIG).jaccard
    assert by_otsu is not None
    assert by_box is not None
    assert by_otsu > by_box


def test_without_masks_there_is_a_reason(dataset: PreparedDataset) -> None:
    unmasked = replace(dataset, manifest=dataset.manifest.assign(has_mask=False))
    assert otsu(unmasked, CONFIG).reason == "no test image has a mask"
    assert centre_box(unmasked, CONFIG).reason == "no test image has a mask"


def test_void_pixels_are_left_out_of_the_baselines_too(
    dataset: PreparedDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    # void is what Otsu's threshold finds but the truth does not know
    bright = otsu_mask(np.asarray(dataset.image(0).convert("RGB")))
    objects = np.where(bright, 255, 0).astype(np.uint8)
    objects[np.argwhere(bright)[0][0], np.argwhere(bright)[0][1]] = 1
    image = dataset.image(0)
    monkeypatch.setattr(PreparedDataset, "image", lambda self, index: image)
    monkeypatch.setattr(PreparedDataset, "objects", lambda self, index: objects)
    config = AttentionConfig(image_size_px=8, images=1)
    assert otsu(dataset, config).jaccard == 100
    as_background = otsu(dataset, replace(config, void="background")).jaccard
    assert as_background == pytest.approx(100 / bright.sum())
