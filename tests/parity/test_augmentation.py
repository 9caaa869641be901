"""Operations against the reference's exact results, draws against its statistics."""

import numpy as np
import pytest
from PIL import Image

from dino.core.configuration.pretrain import CropsConfig
from dino.core.seeding import stream
from dino.data.crops import JITTER, CropDraw, MultiCrop, render
from dino.data.normalisation import IMAGENET_MEAN, IMAGENET_STD
from dino.data.pixels.blur import gaussian_blur
from dino.data.pixels.colour import greyscale, solarize
from dino.data.pixels.resampling import transposed_planes

JITTER_NAMES = ("brightness", "contrast", "saturation", "hue")
VIEWS = 4
DRAWS = 2000
# Kolmogorov-Smirnov: 2.5 times the deviation of the distance of 400 draws from these
DISTANCE = 0.11


@pytest.fixture(scope="module")
def numbers(golden):
    return golden("augmentation")


@pytest.fixture(scope="module")
def drawn(numbers):
    """Our draws for the reference's image, one list for each view: two global, two local."""
    height, width = numbers["image"].shape[:2]
    multi_crop = MultiCrop(CropsConfig(local_crops=VIEWS - 2))
    return [
        [
            multi_crop.draw((width, height), view, stream(i, view).random(36).tolist())
            for i in range(DRAWS)
        ]
        for view in range(VIEWS)
    ]


def test_single_operations_are_the_references(numbers):
    compared = 0
    for name in numbers.files:
        operation, _, value = name.removeprefix("exact/").partition("_")
        actual = _planes(numbers["exact/image"])
        if operation in JITTER_NAMES:
            JITTER[JITTER_NAMES.index(operation)](actual, float(value))
        elif operation == "blur" and name.startswith("exact/"):
            gaussian_blur(actual, float(value))
        elif name == "exact/solarize":
            solarize(actual)
        elif name == "exact/gray":
            greyscale(actual)
        else:
            continue
        np.testing.assert_array_equal(actual, _planes(numbers[name]), err_msg=name)
        compared += 1
    assert compared == 14


def test_chains_of_jitter_are_the_references(numbers):
    for chain in ("exact/chain0", "exact/chain1", "exact/chain2"):
        actual = _planes(numbers["exact/image"])
        for operation in numbers[f"{chain}_order"]:
            JITTER[operation](actual, float(numbers[f"{chain}_factors"][operation]))
        np.testing.assert_array_equal(actual, _planes(numbers[chain]), err_msg=chain)


def test_resized_crops_are_the_references(numbers):
    planes = transposed_planes(numbers["exact/image"])
    for crop in (f"exact/crop{i}" for i in range(4)):
        top, left, height, width = numbers[f"{crop}_box"].tolist()
        nothing_else = CropDraw((left, top, width, height), False, (), False, None, False)
        actual = np.empty((3, 32, 32), np.uint8)
        render(planes, nothing_else, actual)
        np.testing.assert_array_equal(actual, _planes(numbers[crop]), err_msg=crop)


def test_flips_are_the_references(numbers):
    height, width = numbers["exact/image"].shape[:2]
    side_px = min(height, width)
    box = (0, 0, side_px, side_px)
    actual = np.empty((3, side_px, side_px), np.uint8)
    square = transposed_planes(np.ascontiguousarray(numbers["exact/flip"][:side_px, -side_px:]))
    render(square, CropDraw(box, True, (), False, None, False), actual)
    expected = numbers["exact/image"][:side_px, :side_px]
    np.testing.assert_array_equal(actual, _planes(np.ascontiguousarray(expected)))


def test_boxes_are_drawn_as_the_references(numbers, drawn):
    for view in range(VIEWS):
        left, top, width, height = np.array([d.box for d in drawn[view]]).T
        ours = {"top": top, "left": left, "height": height, "width": width}
        theirs = numbers["box"][:, view].T
        for (name, values), expected in zip(ours.items(), theirs, strict=True):
            assert _distance(values, expected) < DISTANCE, (view, name)


def test_factors_are_drawn_as_the_references(numbers, drawn):
    for view in range(VIEWS):
        # NaN where the reference did not jitter or blur
        factors = np.array([[f for _, f in sorted(d.jitter)] for d in drawn[view] if d.jitter])
        theirs = numbers["jitter"][:, view]
        theirs = theirs[np.isfinite(theirs).all(axis=1)]
        for operation, name in enumerate(JITTER_NAMES):
            assert _distance(factors[:, operation], theirs[:, operation]) < DISTANCE, (view, name)
        radii = numbers["blur_radius"][:, view]
        radii = radii[np.isfinite(radii)]
        if len(radii) > 100:
            ours = np.array([d.blur_radius_px for d in drawn[view] if d.blur_radius_px])
            assert _distance(ours, radii) < 2 * DISTANCE, view


def test_every_order_of_the_jitter_is_equally_likely(drawn):
    orders = [tuple(i for i, _ in d.jitter) for view in drawn for d in view if d.jitter]
    counts = np.unique(np.array(orders), axis=0, return_counts=True)[1]
    expected = len(orders) / 24
    assert len(counts) == 24
    # χ² with 23 degrees of freedom: 49.7 is passed once in a thousand times
    assert ((counts - expected) ** 2 / expected).sum() < 49.7


def test_operations_are_drawn_as_often_as_the_references(numbers, drawn):
    for view in range(VIEWS):
        ours = np.array(
            [
                [d.flip, bool(d.jitter), d.grey, d.blur_radius_px is not None, d.solarize]
                for d in drawn[view]
            ]
        ).mean(axis=0)
        probability = numbers["flag_prob"][view]
        deviation = np.sqrt(probability * (1 - probability) / DRAWS)
        assert (np.abs(ours - probability) <= 4 * deviation).all(), view


def test_channel_statistics_are_the_references(numbers):
    multi_crop = MultiCrop(CropsConfig(local_crops=VIEWS - 2))
    image = Image.fromarray(numbers["image"])
    draws = 600
    means, deviations = np.empty((2, draws, VIEWS, 3))
    for i in range(draws):
        crops = multi_crop(image, stream(i))
        views = [view.reshape(3, -1) / 255 for part in crops for view in part]
        means[i] = [(v.mean(axis=1) - IMAGENET_MEAN) / IMAGENET_STD for v in views]
        deviations[i] = [v.std(axis=1) / IMAGENET_STD for v in views]
    for ours, name in ((means, "mean"), (deviations, "std_mean")):
        variance = numbers[f"agg_{name.replace('std_mean', 'std_var').replace('mean', 'var')}"]
        error = np.sqrt(variance * (1 / draws + 1 / int(numbers["n_draws"])))
        assert (np.abs(ours.mean(axis=0) - numbers[f"agg_{name}"]) < 4.5 * error).all(), name


def _planes(pixels):
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _distance(ours, theirs):
    """Kolmogorov's: the largest difference of the two cumulative distributions."""
    values = np.concatenate([ours, theirs])
    shares = [np.searchsorted(np.sort(x), values, side="right") / len(x) for x in (ours, theirs)]
    return np.abs(shares[0] - shares[1]).max()
