"""What can be measured, and by which module of this package."""

import importlib
from typing import Any

PARTS = {
    "train_step": (
        "train_step_float32",
        "train_step_bf16",
        "train_step_bf16_autocast",
        "train_step_peak_share",
    ),
    "small_step": ("small_step",),
    "augmentation": ("augmentation",),
    "loss": ("loss_time", "loss_memory"),
    "update": ("update",),
    "knn": ("knn_loop",),
    "linear": ("linear_cached",),
    "growth": ("growth",),
}
"""Module: names that it measures."""
ALL_NAMES = tuple(name for names in PARTS.values() for name in names)


def measured(part: str, names: tuple[str, ...], rounds: int | None) -> dict[str, Any]:
    """The results of a part, by name."""
    module = importlib.import_module(f"benchmarks.{part}")
    return module.measure(names, **({"rounds": rounds} if rounds else {}))
