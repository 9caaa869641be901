import numpy as np
import pytest

from dino.metrics.intervals import mean_interval, share_interval


@pytest.mark.parametrize(("correct", "images"), [(1, 7), (30, 60), (793, 1000)])
def test_interval_of_a_share_is_that_of_its_zeros_and_ones(correct, images):
    rng = np.random.default_rng(1)
    values = np.zeros(images)
    values[:correct] = 1
    means = [rng.choice(values, images).mean() for _ in range(20_000)]
    low, high = share_interval(100 * correct / images, images)
    # quantiles of 20,000 draws, on a grid of 1 / images
    assert low == pytest.approx(100 * np.quantile(means, 0.025), abs=100 / images + 0.3)
    assert high == pytest.approx(100 * np.quantile(means, 0.975), abs=100 / images + 0.3)


def test_interval_of_a_mean_shrinks_with_the_root_of_the_images():
    rng = np.random.default_rng(0)
    few, many = rng.random(400), rng.random(6400)
    widths = [np.subtract(*reversed(mean_interval(values))) for values in (few, many)]
    assert widths[0] / widths[1] == pytest.approx(4, rel=0.15)
    # 2 · 1.96 · deviation of a uniform number / 20
    assert widths[0] == pytest.approx(2 * 1.96 * np.sqrt(1 / 12) / 20, rel=0.1)


def test_equal_seeds_give_equal_intervals():
    values = np.random.default_rng(0).random(50)
    assert mean_interval(values) == mean_interval(values)
    assert mean_interval(values) != mean_interval(values, seed=1)


def test_extremes_have_intervals_of_no_width():
    assert share_interval(0.0, 10) == (0, 0)
    assert share_interval(100.0, 10) == (100, 100)
    assert mean_interval(np.full(5, 0.25)) == (0.25, 0.25)


def test_too_few_images_have_no_interval():
    assert share_interval(float("nan"), 0) is None
    assert mean_interval(np.array([0.5])) is None
