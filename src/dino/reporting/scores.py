"""What the evaluations measured on test, with intervals, as scores with names of their own.

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


def attention_scores(attention: Mapping[str, Any], model: str) -> Scores:
    """The Jaccard index by the headline protocol, and by the two others with its mass."""
    headline = attention["headline"]
    mass = headline.partition("@")[2]
    scores: Scores = {}
    for name, key in (
        ("attention", headline),
        ("attention_fixed_head", f"best_head_fixed@{mass}"),
        ("attention_mean_heads", f"mean_of_heads@{mass}"),
    ):
        scores |= jaccard_scores(attention[model]["scores"].get(key, {}), name)
    return scores


def jaccard_scores(score: Mapping[str, Any], name: str = "attention") -> Scores:
    """The Jaccard index of one kind of masks."""
    return _interval_score(f"{name}_jaccard", score.get("jaccard"), score.get("interval"))


def class_map_scores(arrangement: Mapping[str, Any]) -> Scores:
    """The rank correlation with the superclasses."""
    return _score("class_map_spearman", arrangement, "spearman")


def finetune_scores(accuracies: Mapping[str, Any]) -> Scores:
    """Of a fine-tuned network after its last epoch, and after the one that was best on val."""
    last, best = accuracies.get("last", {}), accuracies.get("best_on_val", {})
    return {
        **_score("finetune_top1", last, "test_top1"),
        **_score("finetune_best_top1", best, "test_top1"),
    }


def robustness_scores(accuracies: Mapping[str, Any]) -> Scores:
    """The mean over all corruptions and severities, and the same images clean."""
    return {
        **_score("robustness_top1", accuracies.get("mean", {}), "top1"),
        **_score("robustness_clean_top1", accuracies.get("clean", {}), "top1"),
    }


def low_shot_name(fraction: float) -> str:
    """The score's name for a share of the training images: that in percent."""
    return f"low_shot_{100 * fraction:g}_top1".replace(".", "_", 1)


def _score(name: str, accuracy: Mapping[str, Any], key: str) -> Scores:
    return _interval_score(name, accuracy.get(key), accuracy.get(f"{key}_interval"))


def _interval_score(name: str, value: float | None, interval: list[float] | None) -> Scores:
    low, high = interval or (None, None)
    return {name: value, f"{name}_low": low, f"{name}_high": high}
