"""Operations against the reference's exact results, draws against its statistics."""

import re

import numpy as np
import pytest
from PIL import Image

from dino.core.configuration.pretrain import CropsConfig
from dino.core.seeding import Purpose, stream
from dino.data.crops import JITTER, CropDraw, MultiCrop, render
from dino.data.normalisation import IMAGENET_MEAN, IMAGENET_STD
from dino.data.pixels.blur import gaussian_blur
from dino.data.pixels.colour import greyscale, solarize
from dino.data.pixels.resampling import transposed_planes

JITTER_NAMES = ("brightness", "contrast", "saturation", "hue")
DRAWS = 2000


@pytest.fixture(scope="module")
def numbers(golden):
    return golden("augmentation")


@pytest.fixture(scope="module")
def views(numbers):
    """How many crops the reference made of the image: two global ones, the others local."""
    return numbers["box"].shape[1]


@pytest.fixture(scope="module")
def drawn(numbers, views):
    """Our draws for the reference's image, one list for each view."""
    height, width = numbers["image"].shape[:2]
    multi_crop = MultiCrop(CropsConfig(local_crops=views - 2))
    return [
        [
            multi_crop.draw(
                (width, height),
                view,
                stream(Purpose.PRETRAIN_CROPS, view, 0, i).random(36).tolist(),
            )
            for i in range(DRAWS)
        ]
        for view in range(views)
    ]


def test_single_operations_are_the_references(numbers):
    compared = set()
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
        compared.add(operation)
    assert compared == {*JITTER_NAMES, "blur", "solarize", "gray"}


def test_chains_of_jitter_are_the_references(numbers):
    for chain in _numbered(numbers, "exact/chain"):
        actual = _planes(numbers["exact/image"])
        for operation in numbers[f"{chain}_order"]:
            JITTER[operation](actual, float(numbers[f"{chain}_factors"][operation]))
        np.testing.assert_array_equal(actual, _planes(numbers[chain]), err_msg=chain)


def test_resized_crops_are_the_references(numbers):
    planes = transposed_planes(numbers["exact/image"])
    for crop in _numbered(numbers, "exact/crop"):
        top, left, height, width = numbers[f"{crop}_box"].tolist()
        nothing_else = CropDraw((left, top, width, height), False, (), False, None, False)
        expected = _planes(numbers[crop])
        actual = np.empty_like(expected)
        render(planes, nothing_else, actual)
        # rows first; where Pillow finds it cheaper to begin with the columns it rounds in between
        # what we round at the end
        assert np.abs(actual.astype(np.int16) - expected).max() <= 1, crop


def test_flips_are_the_references(numbers):
    height, width = numbers["exact/image"].shape[:2]
    side_px = min(height, width)
    box = (0, 0, side_px, side_px)
    actual = np.empty((3, side_px, side_px), np.uint8)
    square = transposed_planes(np.ascontiguousarray(numbers["exact/flip"][:side_px, -side_px:]))
    render(square, CropDraw(box, True, (), False, None, False), actual)
    expected = numbers["exact/image"][:side_px, :side_px]
    np.testing.assert_array_equal(actual, _planes(np.ascontiguousarray(expected)))


def test_boxes_are_drawn_as_the_references(numbers, drawn, views):
    for view in range(views):
        left, top, width, height = np.array([d.box for d in drawn[view]]).T
        ours = {"top": top, "left": left, "height": height, "width": width}
        theirs = numbers["box"][:, view].T
        for (name, values), expected in zip(ours.items(), theirs, strict=True):
            assert _agree(values, expected), (view, name)


def test_factors_are_drawn_as_the_references(numbers, drawn, views):
    for view in range(views):
        # NaN where the reference did not jitter or blur
        factors = np.array([[f for _, f in sorted(d.jitter)] for d in drawn[view] if d.jitter])
        theirs = numbers["jitter"][:, view]
        theirs = theirs[np.isfinite(theirs).all(axis=1)]
        for operation, name in enumerate(JITTER_NAMES):
            assert _agree(factors[:, operation], theirs[:, operation]), (view, name)
        radii = numbers["blur_radius"][:, view]
        radii = radii[np.isfinite(radii)]
        if len(radii) > 100:
            ours = np.array([d.blur_radius_px for d in drawn[view] if d.blur_radius_px])
            assert _agree(ours, radii), view


def test_every_order_of_the_jitter_is_equally_likely(drawn):
    orders = [tuple(i for i, _ in d.jitter) for view in drawn for d in view if d.jitter]
    counts = np.unique(np.array(orders), axis=0, return_counts=True)[1]
    expected = len(orders) / 24
    assert len(counts) == 24
    # χ² with 23 degrees of freedom: 49.7 is passed once in a thousand times
    assert ((counts - expected) ** 2 / expected).sum() < 49.7


def test_operations_are_drawn_as_often_as_the_references(numbers, drawn, views):
    for view in range(views):
        ours = np.array(
            [
                [d.flip, bool(d.jitter), d.grey, d.blur_radius_px is not None, d.solarize]
                for d in drawn[view]
            ]
        ).mean(axis=0)
        probability = numbers["flag_prob"][view]
        deviation = np.sqrt(probability * (1 - probability) / DRAWS)
        assert (np.abs(ours - probability) <= 4 * deviation).all(), view


def test_channel_statistics_are_the_references(numbers, views):
    multi_crop = MultiCrop(CropsConfig(local_crops=views - 2))
    image = Image.fromarray(numbers["image"])
    draws = 600
    means, deviations = np.empty((2, draws, views, 3))
    for i in range(draws):
        crops = multi_crop(image, stream(Purpose.PRETRAIN_CROPS, 0, 0, i))
        pixels = [view.reshape(3, -1) / 255 for part in crops for view in part]
        means[i] = [(p.mean(axis=1) - IMAGENET_MEAN) / IMAGENET_STD for p in pixels]
        deviations[i] = [p.std(axis=1) / IMAGENET_STD for p in pixels]
    for ours, name in ((means, "mean"), (deviations, "std_mean")):
        variance = numbers[f"agg_{name.replace('std_mean', 'std_var').replace('mean', 'var')}"]
        error = np.sqrt(variance * (1 / draws + 1 / int(numbers["n_draws"])))
        assert (np.abs(ours.mean(axis=0) - numbers[f"agg_{name}"]) < 4.5 * error).all(), name


def _planes(pixels):
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _numbered(numbers, name):
    """The arrays of one kind, which are numbered from 0."""
    found = [key for key in numbers.files if re.fullmatch(rf"{name}\d+", key)]
    assert found
    return found


def _agree(ours, theirs):
    """Whether Kolmogorov's distance, the largest difference of the two cumulative distributions,
    is one that draws from one distribution pass once in a thousand times.
    """
    values = np.concatenate([ours, theirs])
    shares = [np.searchsorted(np.sort(x), values, side="right") / len(x) for x in (ours, theirs)]
    return np.abs(shares[0] - shares[1]).max() < 2 * np.sqrt(1 / len(ours) + 1 / len(theirs))
