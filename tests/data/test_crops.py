"""Operations against the reference's exact results, draws against its statistics."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter, ImageOps

from dino.core.configuration.pretrain import CropsConfig
from dino.core.seeding import stream
from dino.data.crops import MultiCrop, jittered, random_box, resized_crop

OPERATIONS = ("brightness", "contrast", "saturation", "hue")


@pytest.fixture(scope="module")
def golden(request):
    folder: Path = request.config.getoption("--golden")
    return np.load(folder / "augmentation.npz", allow_pickle=False)


def test_single_operations_are_the_references(golden):
    image = Image.fromarray(golden["exact/image"])
    names = [name for name in golden.files if name.split("/")[-1].split("_")[0] in OPERATIONS]
    assert names
    for name in names:
        operation, factor = name.removeprefix("exact/").split("_")
        actual = jittered(image, OPERATIONS.index(operation), float(factor))
        np.testing.assert_array_equal(np.asarray(actual), golden[name], err_msg=name)
    for name in (name for name in golden.files if name.startswith("exact/blur_")):
        blurred = image.filter(ImageFilter.GaussianBlur(float(name.removeprefix("exact/blur_"))))
        np.testing.assert_array_equal(np.asarray(blurred), golden[name])
    np.testing.assert_array_equal(
        np.asarray(ImageOps.solarize(image, 128)), golden["exact/solarize"]
    )


def test_chains_of_jitter_are_the_references(golden):
    image = Image.fromarray(golden["exact/image"])
    for name in (n for n in golden.files if n.startswith("exact/chain") and n.endswith("_order")):
        chain = name.removesuffix("_order")
        result = image
        for operation in golden[name]:
            result = jittered(result, int(operation), float(golden[f"{chain}_factors"][operation]))
        np.testing.assert_array_equal(np.asarray(result), golden[chain])


def test_resized_crops_are_the_references(golden):
    image = Image.fromarray(golden["exact/image"])
    for name in (n for n in golden.files if n.startswith("exact/crop") and n.endswith("_box")):
        top, left, height, width = golden[name].tolist()
        actual = resized_crop(image, (left, top, left + width, top + height), 32)
        np.testing.assert_array_equal(np.asarray(actual), golden[name.removesuffix("_box")])


def test_grey_images_change_as_their_three_equal_channels_would():
    rng = np.random.default_rng(0)
    grey = Image.fromarray(rng.integers(0, 256, (20, 20), dtype=np.uint8))
    for operation, factor in ((0, 1.3), (1, 0.7), (2, 1.2), (3, 0.08)):
        colour = np.asarray(jittered(grey.convert("RGB"), operation, factor))
        single = np.asarray(jittered(grey, operation, factor))
        for channel in range(3):
            np.testing.assert_array_equal(colour[..., channel], single)


def test_boxes_are_drawn_as_the_references(golden):
    height, width = golden["image"].shape[:2]
    rng = stream(0)
    boxes = golden["box"]
    for view, scale in ((0, (0.4, 1.0)), (2, (0.05, 0.4))):
        drawn = np.array([random_box((width, height), scale, rng) for _ in range(2000)])
        ours = {
            "height": drawn[:, 3] - drawn[:, 1],
            "width": drawn[:, 2] - drawn[:, 0],
            "top": drawn[:, 1],
            "left": drawn[:, 0],
        }
        theirs = dict(zip(("top", "left", "height", "width"), boxes[:, view].T, strict=True))
        for name, values in ours.items():
            assert _ks_distance(values, theirs[name]) < 0.11, (view, name)


def test_channel_statistics_are_the_references(golden):
    multi_crop = MultiCrop(CropsConfig(local_crops=2))
    image = Image.fromarray(golden["image"])
    draws = 150
    means = np.empty((draws, 4, 3))
    for draw in range(draws):
        crops = multi_crop(image, stream(draw))
        views = [*crops[0], *crops[1]]
        means[draw] = [view.reshape(-1, 3).mean(axis=0) for view in views]
    means = (means / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    error = np.sqrt(golden["agg_var"] * (1 / draws + 1 / int(golden["n_draws"])))
    assert (np.abs(means.mean(axis=0) - golden["agg_mean"]) < 4.5 * error).all()


def test_equal_streams_give_equal_crops():
    image = Image.fromarray(np.arange(28 * 28, dtype=np.uint8).reshape(28, 28))
    config = CropsConfig(global_size_px=28, local_size_px=14, local_crops=3)
    first = MultiCrop(config)(image, stream(1, 2))
    again = MultiCrop(config)(image, stream(1, 2))
    other = MultiCrop(config)(image, stream(1, 3))
    assert first[0].shape == (2, 28, 28, 1)
    assert first[1].shape == (3, 14, 14, 1)
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert (first[0] != other[0]).any()


def test_training_without_local_crops_is_possible():
    config = CropsConfig(global_size_px=28, local_size_px=14, local_crops=0)
    _, local_crops = MultiCrop(config)(Image.new("RGB", (30, 40)), stream(0))
    assert local_crops.shape == (0, 14, 14, 3)


def _ks_distance(a, b):
    values = np.concatenate([a, b])
    cdf_a = np.searchsorted(np.sort(a), values, side="right") / len(a)
    cdf_b = np.searchsorted(np.sort(b), values, side="right") / len(b)
    return np.abs(cdf_a - cdf_b).max()
