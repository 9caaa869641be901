"""Accuracies on test, and their intervals, as scores with names of their own.

Each score NAME has NAME_low and NAME_high beside it, its 95 % bootstrap interval. What was not
measured (a data set without labels) is None.
"""

from collections.abc import Mapping
from typing import Any

Scores = dict[str, float | None]


def knn_scores(accuracies: Mapping[str, Any], headline: str) -> Scores:
    """Of k-NN with the headline number of neighbours."""
    test, val = (accuracies.get(split, {}).get(headline, {}) for split in ("test", "val"))
    return {
        **_score("knn_top1", test, "top1"),
        **_score("knn_top5", test, "top5"),
        **_score("knn_val_top1", val, "top1"),
    }


def linear_scores(accuracies: Mapping[str, Any], protocol: str = "linear") -> Scores:
    """Of a linear classifier after its last epoch, and after the one that was best on val."""
    last, best = accuracies.get("last", {}), accuracies.get("best_on_val", {})
    return {
        **_score(f"{protocol}_top1", last, "test_top1"),
        **_score(f"{protocol}_top5", last, "test_top5"),
        **_score(f"{protocol}_best_top1", best, "test_top1"),
    }


def low_shot_scores(accuracies: Mapping[str, Any]) -> Scores:
    """Mean over the draws of each share, such as low_shot_10_top1, and its deviation."""
    scores: Scores = {}
    for share in accuracies.get("shares", ()):
        name = low_shot_name(share["fraction"])
        scores |= _score(name, share, "test_top1")
        scores[f"{name}_deviation"] = share["deviation"]
    return scores


def low_shot_name(fraction: float) -> str:
    """The score's name for a share of the training images: that in percent."""
    return f"low_shot_{100 * fraction:g}_top1".replace(".", "_", 1)


def _score(name: str, accuracy: Mapping[str, Any], key: str) -> Scores:
    low, high = accuracy.get(f"{key}_interval") or (None, None)
    return {name: accuracy.get(key), f"{name}_low": low, f"{name}_high": high}
