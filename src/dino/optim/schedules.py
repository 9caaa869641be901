"""Schedules of the values that change with each iteration or epoch."""

import numpy as np
from jaxtyping import Float64


def cosine_schedule(
    base: float, final: float, iterations: int, warmup_iterations: int = 0, start: float = 0.0
) -> Float64[np.ndarray, " iterations"]:
    """One value an iteration: a line from `start` to `base`, then a cosine towards `final`.

    As in the reference both ends of the warm-up are included, so `base` appears twice, and the
    cosine divides by its own length, so `final` itself is never reached.
    """
    warmup = np.linspace(start, base, warmup_iterations)
    steps = np.arange(iterations - warmup_iterations)
    cosine = final + 0.5 * (base - final) * (1 + np.cos(np.pi * steps / len(steps)))
    return np.concatenate([warmup, cosine])


def teacher_temperature_schedule(
    warmup_temperature: float, temperature: float, warmup_epochs: int, epochs: int
) -> Float64[np.ndarray, " epochs"]:
    """One value an epoch: a line from `warmup_temperature` that reaches `temperature` in the
    last epoch of the warm-up, then constant.
    """
    warmup = np.linspace(warmup_temperature, temperature, warmup_epochs)
    return np.concatenate([warmup, np.full(epochs - warmup_epochs, temperature)])


def scaled_learning_rate(learning_rate: float, batch_size: int) -> float:
    """The learning rate for `batch_size`, if `learning_rate` is that for 256 images."""
    return learning_rate * batch_size / 256.0
