import numpy as np

from dino.optim.schedules import cosine_schedule, teacher_temperature_schedule


def test_cosine_schedules_are_the_references(golden):
    file = golden("schedules")
    for i in range(int(file["n_cos"])):
        base, final, epochs, per_epoch, warmup_epochs, start = file[f"cos{i}/params"]
        actual = cosine_schedule(
            base, final, int(epochs * per_epoch), int(warmup_epochs * per_epoch), start
        )
        np.testing.assert_allclose(actual, file[f"cos{i}/values"], rtol=1e-12)


def test_teacher_temperatures_are_the_references(golden):
    file = golden("schedules")
    for i in range(int(file["n_temp"])):
        warmup_temperature, temperature, warmup_epochs, epochs = file[f"temp{i}/params"]
        actual = teacher_temperature_schedule(
            warmup_temperature, temperature, int(warmup_epochs), int(epochs)
        )
        np.testing.assert_allclose(actual, file[f"temp{i}/values"], rtol=1e-12)
