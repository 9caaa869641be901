"""The rows of scores in the evaluations' result files, with numbers that a reader can check."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from dino.core.score import setting
from dino.reporting.results import RunResults

Row = dict[str, Any]
IMAGES = 597


def row(
    model: str,
    where: str,
    metric: str,
    value: float | None,
    half: float | None = None,
    *,
    key: str = "",
    unit: str = "%",
) -> Row:
    """One score, its interval `half` to either side."""
    has_interval = value is not None and half is not None
    return {
        "model": model,
        "setting": where,
        "metric": metric,
        "value": value,
        "low": value - half if has_interval else None,
        "high": value + half if has_interval else None,
        "n": IMAGES,
        "unit": unit,
        "key": key,
    }


def knn_rows(model: str, top1: float) -> list[Row]:
    """With 10 neighbours half a point worse than with 20; on val a point better."""
    rows = []
    for split, better in (("test", 0), ("val", 1)):
        key = "knn_val_" if better else "knn_"
        for k in (10, 20):
            where = setting(split=split, k=k)
            headline = k == 20
            rows += [
                row(
                    model,
                    where,
                    "top1",
                    top1 + better if headline else top1 - 0.5,
                    1 if headline else None,
                    key=f"{key}top1" if headline else "",
                ),
                row(
                    model,
                    where,
                    "top5",
                    99.0 if headline else 98.0,
                    1,
                    key=f"{key}top5" if headline and not better else "",
                ),
            ]
    return rows


def linear_rows(model: str, top1: float, stage: str = "linear") -> list[Row]:
    last, best = (setting(split="test", epoch=epoch) for epoch in ("last", "best_on_val"))
    return [
        row(model, last, "top1", top1, 1, key=f"{stage}_top1"),
        row(model, last, "top5", 99.5, 0.5, key=f"{stage}_top5"),
        row(model, setting(split="val", epoch="last"), "top1", top1 + 1),
        row(model, best, "top1", top1 + 0.256, 1, key=f"{stage}_best_top1"),
        row(model, best, "top5", 99.6, 0.4),
        row(model, setting(split="val", epoch="best_on_val"), "top1", top1 + 1.5),
    ]


def finetune_rows(model: str, top1: float) -> list[Row]:
    bounds = {"low": top1 - 1.004, "high": top1 + 1.006}
    last, best = (setting(split="test", epoch=epoch) for epoch in ("last", "best_on_val"))
    return [
        row(model, last, "top1", top1, key="finetune_top1") | bounds,
        row(model, best, "top1", top1 + 0.5, key="finetune_best_top1") | bounds,
    ]


def low_shot_rows(model: str, top1: float) -> list[Row]:
    rows = []
    for percent in (1, 10):
        where, key = setting(labels=f"{percent}%"), f"low_shot_{percent}_top1"
        rows += [
            row(model, where, "top1", top1 + percent / 100, key=key)
            | {"low": top1 - 1, "high": top1 + 1},
            row(model, where, "deviation", 0.5, key=f"{key}_deviation", unit="points") | {"n": 5},
        ]
    return rows


def class_map_rows(model: str, spearman: float) -> list[Row]:
    where = setting(split="test")
    return [
        row(model, where, "spearman", spearman, 0.1, key="class_map_spearman", unit=""),
        row(model, where, "spearman_highest", 0.866, unit=""),
    ]


def robustness_rows(model: str, mean: float) -> list[Row]:
    """Clean images are 20 points better, and each severity 4 points worse than the one before."""
    of_mean = setting(corruption="mean")
    clean = setting(corruption="none")
    conditions = [
        row(
            model,
            setting(corruption=name, severity=severity),
            "top1",
            mean + shift - 4 * (severity - 2),
        )
        for shift, name in enumerate(("noise", "blur", "contrast", "pixelate", "jpeg"), -2)
        for severity in (1, 2, 3)
    ]
    return [
        row(model, of_mean, "top1", mean, 2, key="robustness_top1"),
        row(model, clean, "top1", mean + 20, 2, key="robustness_clean_top1"),
        *conditions,
        row(model, of_mean, "relative_drop", 100 * 20 / (mean + 20)),
    ]


def attention_rows(model: str, paper: float | None, per_head: Iterable[float] = ()) -> list[Row]:
    """With 80 % of the mass each number is one point higher; without attention there are none."""
    heads = list(per_head)
    rows = []
    for protocol, jaccard, key in (
        ("paper", paper, "attention_jaccard"),
        ("best_head_fixed", max(heads, default=None), "attention_fixed_head_jaccard"),
        ("mean_of_heads", min(heads, default=None), "attention_mean_heads_jaccard"),
    ):
        for mass, points in (("0.6", 0), ("0.8", 1)):
            where = setting(protocol=protocol, mass=mass)
            value = None if jaccard is None else jaccard + points
            rows.append(row(model, where, "jaccard", value, 1.5, key="" if points else key))
    return rows


def baseline_rows(labelled: bool) -> list[Row]:
    """Raw pixels, where there are labels, and the two kinds of masks."""
    raw = "raw_pixels"
    of_raw_pixels = {
        "knn": knn_rows(raw, 84.6),
        "linear": linear_rows(raw, 85.6),
        "low_shot": low_shot_rows(raw, 70),
        "class_map": class_map_rows(raw, 0.5),
        "robustness": robustness_rows(raw, 60.0),
    }
    masks = [
        row("centre_box", "", "jaccard", 51.238, key="attention_jaccard")
        | {"low": 50.5, "high": 52.0},
        row("otsu", "", "jaccard", 80.0, 1, key="attention_jaccard"),
    ]
    return [
        {"evaluation": evaluation, **score}
        for evaluation, scores in (
            *(of_raw_pixels.items() if labelled else ()),
            ("attention", masks),
        )
        for score in scores
    ]


def unmeasured(run: RunResults, reason: str, *evaluations: str) -> RunResults:
    """`run` with `reason` in place of what `evaluations` measured."""
    rows = tuple(score for score in run.rows if score["evaluation"] not in evaluations)
    reasons: dict[str, Any] = {name: {"reason": reason} for name in evaluations}
    return replace(run, rows=rows, details={**run.details, **reasons})


def with_rows(rows: Iterable[Row], evaluation: str, scores: Iterable[Row]) -> tuple[Row, ...]:
    """`rows` with `scores` in place of those that `evaluation` has of their models."""
    new = [{"evaluation": evaluation, **score} for score in scores]
    models = {score["model"] for score in new}
    kept = (r for r in rows if r["evaluation"] != evaluation or r["model"] not in models)
    return (*kept, *new)
