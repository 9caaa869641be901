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
        "teacher": class_arrangement(0.654),
        "random_init": class_arrangement(0.25),
    }


def class_arrangement(spearman: float) -> dict[str, Any]:
    """Class i is at (i, i²), so that the first two meet first, and then the others in turn."""
    return {
        "left_out": {},
        "distances": [[abs(i - j) / 10 for j in range(10)] for i in range(10)],
        "linkage": [[0, 1, 0.1, 2]] + [[i, 8 + i, 0.1 * i, i + 1] for i in range(2, 10)],
        "coordinates": [[i, i * i] for i in range(10)],
        "coordinates_reason": None,
        "spearman": spearman,
        "spearman_highest": 0.866,
        "spearman_interval": [spearman - 0.1, spearman + 0.1],
        "spearman_reason": None,
    }


def knn(top1: float) -> dict[str, Any]:
    return {
        split: {
            "10": {"top1": top1 - 0.5, "top5": 98.0},
            "20": {
                "top1": top1 + (1 if split == "val" else 0),
                "top1_interval": [top1 - 1, top1 + 1],
                "top5": 99.0,
                "top5_interval": [98.0, 100.0],
            },
        }
        for split in ("val", "test")
    }


def linear(top1: float) -> dict[str, Any]:
    return {
        "last": {
            "val_top1": top1 + 1,
            "test_top1": top1,
            "test_top1_interval": [top1 - 1, top1 + 1],
            "test_top5": 99.5,
            "test_top5_interval": [98.5, 100.0],
        },
        "best_on_val": {
            "epoch": 2,
            "val_top1": top1 + 1.5,
            "test_top1": top1 + 0.256,
            "test_top1_interval": [top1 - 0.744, top1 + 1.256],
            "test_top5": 99.6,
            "test_top5_interval": [98.6, 100.0],
        },
        "curve": [
            {"epoch": epoch, "train_loss": 1 / epoch, "val_top1": top1 - 3 + epoch}
            for epoch in (1, 2, 3)
        ],
    }


def finetune(top1: float, layer_decay: float) -> dict[str, Any]:
    best = {"epoch": 2, "val_top1": top1 + 1, "test_top1": top1 + 0.5}
    last = {"epoch": 3, "val_top1": top1, "test_top1": top1}
    for accuracy in (best, last):
        accuracy["test_top1_interval"] = [top1 - 1.004, top1 + 1.006]
    return {"layer_decay": layer_decay, "last": last, "best_on_val": best, "curve": []}


def robustness(mean: float) -> dict[str, Any]:
    """Clean images are 20 points better, and each severity 4 points worse than the one before."""
    return {
        "clean": {"top1": mean + 20, "top1_interval": [mean + 18, mean + 22]},
        "corruptions": {
            name: {
                str(severity): {"top1": mean + shift - 4 * (severity - 2), "top1_interval": None}
                for severity in (1, 2, 3)
            }
            for shift, name in enumerate(("noise", "blur", "contrast", "pixelate", "jpeg"), -2)
        },
        "mean": {"top1": mean, "top1_interval": [mean - 2, mean + 2]},
        "relative_drop": 100 * 20 / (mean + 20),
    }


def low_shot(top1: float) -> dict[str, Any]:
    return {
        "shares": [
            {
                "fraction": fraction,
                "test_top1": top1 + fraction,
                "test_top1_interval": [top1 - 1, top1 + 1],
                "deviation": 0.5,
                "draws": [{"images": int(1000 * fraction)}] * 5,
            }
            for fraction in (0.01, 0.1)
        ]
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
        nothing = {"scores": {}, "reason": NO_ATTENTION}
        return {**shared, "teacher": nothing, "random_init": nothing}
    shared["scores"] = [
        *attention_rows("teacher", 45.0, [30.0, 40.0, 20.0, 35.0]),
        *attention_rows("random_init", 33.0, [25.0, 26.0, 24.0, 27.0]),
    ]
    return {
        **shared,
        "teacher": attention_scores(45.0, [30.0, 40.0, 20.0, 35.0]),
        "random_init": attention_scores(33.0, [25.0, 26.0, 24.0, 27.0]),
    }


def attention_scores(paper: float, per_head: list[float]) -> dict[str, Any]:
    """With 80 % of the mass each number is one point higher."""
    scores = {}
    for protocol, jaccard in (
        ("paper", paper),
        ("best_head_fixed", max(per_head)),
        ("mean_of_heads", min(per_head)),
    ):
        for mass, points in (("0.6", 0), ("0.8", 1)):
            scores[f"{protocol}@{mass}"] = {
                "jaccard": jaccard + points,
                "interval": [jaccard + points - 1.5, jaccard + points + 1.5],
                "per_head": [value + points for value in per_head],
                "head": int(np.argmax(per_head)) if protocol == "best_head_fixed" else None,
                "reason": None,
            }
    return {"scores": scores, "reason": None}
