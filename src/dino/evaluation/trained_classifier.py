"""The scores of a classifier after its last epoch, and after the one that was best on val."""

from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from dino.core.score import Score, bounds, setting

if TYPE_CHECKING:
    from dino.evaluation.finetune import FinetuneResult
    from dino.evaluation.linear import LinearResult

_KEYS = {
    ("last", "test", "top1"): "{}_top1",
    ("last", "test", "top5"): "{}_top5",
    ("best_on_val", "test", "top1"): "{}_best_top1",
}
"""The names of scores by epoch, split and metric; {} stands for the evaluation."""


def trained_classifier_scores(
    evaluation: str,
    model: str,
    result: "LinearResult | FinetuneResult",
    images: Mapping[str, int],
) -> list[Score]:
    """Every accuracy of `result`, those of the last epoch first.

    `evaluation` is the stage (linear, linear_paper or finetune), with which the names of the
    scores begin; `images` the number of images of val and of test.
    """
    scores = []
    for epoch, found in (("last", result.last), ("best_on_val", result.best_on_val)):
        for split, metric in (("test", "top1"), ("test", "top5"), ("val", "top1")):
            value = getattr(found, f"{split}_{metric}", None)
            if value is None:
                continue
            scores.append(
                Score(
                    model=model,
                    setting=setting(split=split, epoch=epoch),
                    metric=metric,
                    value=value,
                    n=images[split],
                    key=_KEYS.get((epoch, split, metric), "").format(evaluation),
                    **bounds(getattr(found, f"{split}_{metric}_interval", None)),
                )
            )
    return scores


def trained_classifier_details(result: "LinearResult | FinetuneResult") -> dict[str, Any]:
    """What `result` holds besides its scores: the curve, what was chosen, and the two epochs."""
    details = {field.name: getattr(result, field.name) for field in fields(result)}
    last, best_on_val = details.pop("last"), details.pop("best_on_val")
    return {**details, "epochs": {"last": last.epoch, "best_on_val": best_on_val.epoch}}
