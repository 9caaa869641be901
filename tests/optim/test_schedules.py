import numpy as np
import pytest

from dino.optim.schedules import (
    cosine_schedule,
    scaled_learning_rate,
    teacher_temperature_schedule,
)


def test_warmup_starts_at_zero_and_the_base_value_stands_twice():
    schedule = cosine_schedule(1.0, 0.1, 20, warmup_iterations=5)
    assert schedule[0] == 0
    assert schedule[4] == schedule[5] == 1.0
    assert (np.diff(schedule[5:]) < 0).all()


def test_the_final_value_is_approached_and_never_reached():
    schedule = cosine_schedule(0.996, 1.0, 1000)
    assert schedule[0] == pytest.approx(0.996)
    assert 0.99999 < schedule[-1] < 1


def test_a_schedule_may_consist_of_its_warmup():
    np.testing.assert_allclose(cosine_schedule(2.0, 0.0, 3, warmup_iterations=3), [0, 1, 2])


def test_the_teacher_temperature_arrives_in_the_last_epoch_of_its_warmup():
    schedule = teacher_temperature_schedule(0.04, 0.07, 4, 6)
    np.testing.assert_allclose(schedule, [0.04, 0.05, 0.06, 0.07, 0.07, 0.07])


def test_the_learning_rate_is_that_of_256_images():
    assert scaled_learning_rate(5e-4, 1024) == pytest.approx(2e-3)
