"""What the evaluations measured on test, with intervals, as scores with names of their own.

Each score NAME has NAME_low and NAME_high beside it, its 95 % bootstrap interval. What was not
measured (a data set without labels) is None. A score's name begins with that of the stage which
measured it, and its place is where in the stage's result of one model it stands.
"""

from collections.abc import Mapping
from typing import Any

from dino.core.stages import PER_RUN

Scores = dict[str, float | None]
Place = tuple[str | int, ...]
"""Keys and indices, from a result of one model down to a number."""


def stage_of(name: str) -> str | None:
    """The stage of a run that measures the score `name`; None where the name says nothing."""
    stages = [stage for stage in PER_RUN if f"{name}_".startswith(f"{stage}_")]
    return max(stages, key=len, default=None)


def places(stage: str, result: Mapping[str, Any], model: str) -> dict[str, Place]:
    """Where in `result` (the stage's file) the scores of `model` stand; intervals apart."""
    of_model = result.get(model, {})
    within: dict[str, Place] = {}
    if stage == "knn":
        within = knn_places(str(result.get("headline")))
    elif stage in ("linear", "linear_paper"):
        within = linear_places(stage)
    elif stage == "low_shot":
        within = low_shot_places(of_model)
    elif stage == "attention":
        within = attention_places(str(result.get("headline")))
    elif stage in _ALWAYS:
        within = _ALWAYS[stage]
    return {name: (model, *place) for name, place in within.items()}


def knn_places(headline: str) -> dict[str, Place]:
    """Of k-NN with the headline number of neighbours."""
    return {
        "knn_top1": ("test", headline, "top1"),
        "knn_top5": ("test", headline, "top5"),
        "knn_val_top1": ("val", headline, "top1"),
    }


def linear_places(protocol: str) -> dict[str, Place]:
    """Of a linear classifier after its last epoch, and after the one that was best on val."""
    return {
        f"{protocol}_top1": ("last", "test_top1"),
        f"{protocol}_top5": ("last", "test_top5"),
        f"{protocol}_best_top1": ("best_on_val", "test_top1"),
    }


def low_shot_places(accuracies: Mapping[str, Any]) -> dict[str, Place]:
    """Of the mean over the draws of each share, such as low_shot_10_top1, and its deviation."""
    found: dict[str, Place] = {}
    for index, share in enumerate(accuracies.get("shares", ())):
        name = low_shot_name(share["fraction"])
        found[name] = ("shares", index, "test_top1")
        found[f"{name}_deviation"] = ("shares", index, "deviation")
    return found


def attention_places(headline: str) -> dict[str, Place]:
    """Of the Jaccard index by the headline protocol, and by the two others with its mass."""
    mass = headline.partition("@")[2]
    return {
        "attention_jaccard": ("scores", headline, "jaccard"),
        "attention_fixed_head_jaccard": ("scores", f"best_head_fixed@{mass}", "jaccard"),
        "attention_mean_heads_jaccard": ("scores", f"mean_of_heads@{mass}", "jaccard"),
    }


_ALWAYS: dict[str, dict[str, Place]] = {
    "class_map": {"class_map_spearman": ("spearman",)},
    "finetune": {
        "finetune_top1": ("last", "test_top1"),
        "finetune_best_top1": ("best_on_val", "test_top1"),
    },
    "robustness": {
        "robustness_top1": ("mean", "top1"),
        "robustness_clean_top1": ("clean", "top1"),
    },
}


def knn_scores(accuracies: Mapping[str, Any], headline: str) -> Scores:
    """Of k-NN with the headline number of neighbours."""
    return _scores(accuracies, knn_places(headline))


def linear_scores(accuracies: Mapping[str, Any], protocol: str = "linear") -> Scores:
    """Of a linear classifier after its last epoch, and after the one that was best on val."""
    return _scores(accuracies, linear_places(protocol))


def low_shot_scores(accuracies: Mapping[str, Any]) -> Scores:
    """Mean over the draws of each share, such as low_shot_10_top1, and its deviation."""
    return _scores(accuracies, low_shot_places(accuracies))


def attention_scores(attention: Mapping[str, Any], model: str) -> Scores:
    """The Jaccard index by the headline protocol, and by the two others with its mass."""
    return _scores(attention[model], attention_places(attention["headline"]))


def jaccard_scores(score: Mapping[str, Any]) -> Scores:
    """The Jaccard index of one kind of masks."""
    return _scores(score, {"attention_jaccard": ("jaccard",)})


def class_map_scores(arrangement: Mapping[str, Any]) -> Scores:
    """The rank correlation with the superclasses."""
    return _scores(arrangement, _ALWAYS["class_map"])


def finetune_scores(accuracies: Mapping[str, Any]) -> Scores:
    """Of a fine-tuned network after its last epoch, and after the one that was best on val."""
    return _scores(accuracies, _ALWAYS["finetune"])


def robustness_scores(accuracies: Mapping[str, Any]) -> Scores:
    """The mean over all corruptions and severities, and the same images clean."""
    return _scores(accuracies, _ALWAYS["robustness"])


def low_shot_name(fraction: float) -> str:
    """The score's name for a share of the training images: that in percent."""
    return f"low_shot_{100 * fraction:g}_top1".replace(".", "_", 1)


def value_at(result: Any, place: Place) -> Any:
    """What stands at `place`; None where nothing does."""
    for key in place:
        if isinstance(result, list) and isinstance(key, int):
            result = result[key] if key < len(result) else None
        else:
            result = result.get(key) if isinstance(result, Mapping) else None
    return result


def _scores(result: Mapping[str, Any], within: Mapping[str, Place]) -> Scores:
    scores: Scores = {}
    for name, place in within.items():
        *above, key = place
        scores[name] = value_at(result, place)
        if key != "deviation":
            interval = "interval" if key == "jaccard" else f"{key}_interval"
            low, high = value_at(result, (*above, interval)) or (None, None)
            scores |= {f"{name}_low": low, f"{name}_high": high}
    return scores
