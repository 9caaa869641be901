import numpy as np
import pytest
from PIL import Image

from dino.data.corruptions import CORRUPTIONS, SEVERITIES, STRENGTHS, corrupted


def _image(mode: str, side_px: int = 28) -> Image.Image:
    """Smooth waves with an edge: every corruption has something to spoil."""
    y, x = np.mgrid[:side_px, :side_px] / side_px
    grey = 0.5 + 0.25 * np.sin(12 * x) + 0.2 * (y > 0.4)
    pixels = (255 * np.stack([grey, grey**2, 1 - grey], axis=-1)).astype(np.uint8)
    return Image.fromarray(pixels).convert(mode)


def _distance(one: Image.Image, other: Image.Image) -> float:
    return float(np.abs(np.asarray(one, dtype=float) - np.asarray(other, dtype=float)).mean())


def test_there_are_five_corruptions_of_three_severities() -> None:
    assert set(CORRUPTIONS) == {"noise", "blur", "contrast", "pixelate", "jpeg"}
    assert SEVERITIES == (1, 2, 3)
    assert {len(strengths) for strengths in STRENGTHS.values()} == {3}


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_a_severer_corruption_is_further_from_the_image(corruption: str, mode: str) -> None:
    image = _image(mode)
    results = [corrupted(image, corruption, severity, 0, 7) for severity in SEVERITIES]
    assert {(result.mode, result.size) for result in results} == {(mode, (28, 28))}
    distances = [_distance(image, result) for result in results]
    assert 0 < distances[0] < distances[1] < distances[2]


@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_equal_arguments_give_equal_pixels(corruption: str) -> None:
    image = _image("RGB")
    first, second = (np.asarray(corrupted(image, corruption, 2, 3, 5)) for _ in range(2))
    assert (first == second).all()


def test_noise_depends_on_seed_and_image() -> None:
    image = _image("L")
    noises = [np.asarray(corrupted(image, "noise", 1, *key)) for key in ((0, 0), (0, 1), (1, 0))]
    assert (noises[0] != noises[1]).any() and (noises[0] != noises[2]).any()


def test_noise_has_its_deviation() -> None:
    grey = Image.new("L", (200, 200), 128)
    noisy = np.asarray(corrupted(grey, "noise", 1, 0, 0)) / 255
    assert noisy.std() == pytest.approx(0.08, rel=0.02)
    assert noisy.mean() == pytest.approx(128 / 255, abs=0.002)


def test_contrast_keeps_the_mean_and_a_share_of_the_deviation() -> None:
    image = _image("L", 64)
    before, after = np.asarray(image) / 255, np.asarray(corrupted(image, "contrast", 1, 0, 0)) / 255
    assert after.mean() == pytest.approx(before.mean(), abs=0.003)
    assert after.std() == pytest.approx(0.4 * before.std(), rel=0.02)


def test_pixelate_leaves_its_share_of_the_pixels() -> None:
    pixels = np.asarray(corrupted(_image("L", 32), "pixelate", 3, 0, 0))
    blocks = pixels.reshape(8, 4, 8, 4)
    assert (blocks == blocks[:, :1, :, :1]).all()


@pytest.mark.parametrize("corruption", ["blur", "contrast"])
def test_an_image_eight_times_as_large_is_corrupted_as_much(corruption: str) -> None:
    small, large = _image("L", 28), _image("L", 224)
    shares = [_distance(image, corrupted(image, corruption, 3, 0, 0)) for image in (small, large)]
    assert shares[1] == pytest.approx(shares[0], rel=0.25)
