"""Result files of the evaluations, with numbers that a reader can check by hand."""

from typing import Any

import numpy as np
from score_rows import attention_rows, class_map_rows

IMAGE_SIZE_PX = 56
NO_ATTENTION = "resnet50 has no [CLS] token"


def class_map() -> dict[str, Any]:
    return {
        "reason": None,
        "scores": [*class_map_rows("teacher", 0.654), *class_map_rows("random_init", 0.25)],
        "split": "test",
        "classes": [str(digit) for digit in range(10)],
        "superclass_of": ["even", "odd"] * 5,
        "teacher": class_arrangement(),
        "random_init": class_arrangement(),
    }


def class_arrangement() -> dict[str, Any]:
    """Class i is at (i, i²), so that the first two meet first, and then the others in turn."""
    return {
        "left_out": {},
        "distances": [[abs(i - j) / 10 for j in range(10)] for i in range(10)],
        "linkage": [[0, 1, 0.1, 2]] + [[i, 8 + i, 0.1 * i, i + 1] for i in range(2, 10)],
        "coordinates": [[i, i * i] for i in range(10)],
        "coordinates_reason": None,
        "spearman_reason": None,
    }


def attention(without_attention: bool) -> dict[str, Any]:
    protocol = {
        "image_size_px": IMAGE_SIZE_PX,
        "images": 1000,
        "split": "test",
        "selection_images": 500,
        "selection_split": "train",
        "objects": "foreground",
        "void": "ignore",
        "masks": "approximate: non-zero pixels",
    }
    shared = {"reason": None, "headline": "paper@0.6", "protocol": protocol}
    if without_attention:
        shared["scores"] = [*attention_rows("teacher", None), *attention_rows("random_init", None)]
        nothing = {"heads": {}, "reason": NO_ATTENTION}
        return {**shared, "teacher": nothing, "random_init": nothing}
    shared["scores"] = [
        *attention_rows("teacher", 45.0, [30.0, 40.0, 20.0, 35.0]),
        *attention_rows("random_init", 33.0, [25.0, 26.0, 24.0, 27.0]),
    ]
    return {
        **shared,
        "teacher": attention_heads([30.0, 40.0, 20.0, 35.0]),
        "random_init": attention_heads([25.0, 26.0, 24.0, 27.0]),
    }


def attention_heads(per_head: list[float]) -> dict[str, Any]:
    """With 80 % of the mass each number is one point higher."""
    heads = {
        f"{protocol}@{mass}": {
            "per_head": [value + points for value in per_head],
            "head": int(np.argmax(per_head)) if protocol == "best_head_fixed" else None,
            "reason": None,
        }
        for protocol in ("paper", "best_head_fixed", "mean_of_heads")
        for mass, points in (("0.6", 0), ("0.8", 1))
    }
    return {"heads": heads, "reason": None}
