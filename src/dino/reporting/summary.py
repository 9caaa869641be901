"""The few numbers that stand for the whole project: results/summary.json."""

from collections.abc import Iterable
from statistics import fmean
from typing import Any

from dino.core.paths import RANDOM_INIT, TEACHER
from dino.reporting.results import Results, RunResults

DECIMALS = 2
"""Of every percentage: 10,000 test images resolve 0.01 %."""

Scores = dict[str, float | None]


def summarise(results: Results) -> dict[str, Any]:
    """Dataset, scores of every run, and scores of the baselines; percentages of the test split.

    `knn_*` count the headline number of neighbours; `linear_*` are those of the last epoch,
    `linear_best_top1` of the epoch that was best on val. `attention_jaccard` is that of the first
    protocol with the first mass, `attention_fixed_head_jaccard` and `attention_mean_heads_jaccard`
    of the two others with that mass; null for a backbone without [CLS] attention.
    `class_map_spearman` is a correlation, -1 to 1, null without superclasses. `*_low` and
    `*_high` are the ends of 95 % intervals. The random-init baseline is each run's own teacher
    before step 0: the mean over runs, and over the runs of each architecture. Equal results give
    equal values: nothing here depends on when or where the stages ran.
    """
    random_init = {run.name: _scores_of_run(run, RANDOM_INIT) for run in results.runs}
    baselines = results.baselines
    return {
        "dataset": _dataset(results.dataset),
        "runs": {run.name: _rounded(_scores_of_run(run, TEACHER)) for run in results.runs},
        "baselines": {
            "raw_pixels": _rounded(
                {
                    **_knn_scores(baselines["raw_pixels"]["knn"], results.headline),
                    **_linear_scores(baselines["raw_pixels"]["linear"]),
                    **_class_map_scores(baselines["raw_pixels"].get("class_map")),
                    **_robustness_scores(baselines["raw_pixels"].get("robustness")),
                }
            ),
            "random_init": {
                **_mean(random_init.values()),
                "by_architecture": {
                    architecture: _mean(
                        random_init[run.name]
                        for run in results.runs
                        if run.architecture == architecture
                    )
                    for architecture in results.architectures
                },
            },
            "centre_box": _rounded(_jaccard_scores("attention", baselines["centre_box"])),
            "otsu": _rounded(_jaccard_scores("attention", baselines["otsu"])),
        },
    }


def mean_of_architecture(results: Results, summary: dict[str, Any], architecture: str) -> Scores:
    """The mean of each score over the runs (seeds) of `architecture`."""
    return _mean(
        summary["runs"][run.name] for run in results.runs if run.architecture == architecture
    )


def difference(score: float | None, baseline: float | None) -> float | None:
    """How many points `score` lies above `baseline`; None when either was not measured."""
    if score is None or baseline is None:
        return None
    return round(score - baseline, DECIMALS)


def _dataset(dataset: dict[str, Any]) -> dict[str, Any]:
    return {
        "source": dataset["source"],
        "classes": len(dataset["classes"]),
        "images": dataset["counts"],
        "masks": dataset.get("mask_kind"),
        "fingerprint": dataset["fingerprint"],
    }


def _scores_of_run(run: RunResults, model: str) -> Scores:
    return {
        **_knn_scores(run.knn[model], str(run.knn["headline"])),
        **_linear_scores(run.linear[model]),
        **_attention_scores(run.attention, model),
        **_class_map_scores(run.class_map.get(model)),
        **_finetune_scores(run.finetune.get(model)),
        **_robustness_scores(run.robustness.get(model)),
    }


def _attention_scores(attention: dict[str, Any], model: str) -> Scores:
    headline = attention["headline"]
    mass = headline.partition("@")[2]
    scores: Scores = {}
    for name, key in (
        ("attention", headline),
        ("attention_fixed_head", f"best_head_fixed@{mass}"),
        ("attention_mean_heads", f"mean_of_heads@{mass}"),
    ):
        score = attention[model]["scores"].get(key, {"jaccard": None, "interval": None})
        scores |= _jaccard_scores(name, score)
    return scores


def _jaccard_scores(name: str, score: dict[str, Any]) -> Scores:
    """The Jaccard index of `score` and the ends of its interval, under `name`_jaccard."""
    low, high = score["interval"] or (None, None)
    key = f"{name}_jaccard"
    return {key: score["jaccard"], f"{key}_low": low, f"{key}_high": high}


def _knn_scores(accuracies: dict[str, Any], headline: str) -> Scores:
    return {
        "knn_top1": accuracies["test"][headline]["top1"],
        "knn_top5": accuracies["test"][headline]["top5"],
        "knn_val_top1": accuracies["val"][headline]["top1"],
    }


def _linear_scores(accuracies: dict[str, Any]) -> Scores:
    return {
        "linear_top1": accuracies["last"]["test_top1"],
        "linear_top5": accuracies["last"]["test_top5"],
        "linear_best_top1": accuracies["best_on_val"]["test_top1"],
    }


def _class_map_scores(scores: dict[str, Any] | None) -> Scores:
    """None for a data set without labels."""
    values = scores or {"spearman": None, "spearman_interval": None}
    low, high = values["spearman_interval"] or (None, None)
    return {
        "class_map_spearman": values["spearman"],
        "class_map_spearman_low": low,
        "class_map_spearman_high": high,
    }


def _finetune_scores(result: dict[str, Any] | None) -> Scores:
    """Of the last epoch; None everywhere without a result, since the data has no labels."""
    last = {} if result is None else result["last"]
    best = {} if result is None else result["best_on_val"]
    return {
        **_with_interval("finetune_top1", last.get("test_top1"), last.get("test_top1_interval")),
        "finetune_best_top1": best.get("test_top1"),
    }


def _robustness_scores(result: dict[str, Any] | None) -> Scores:
    """The mean over all corruptions and severities, and the same images clean."""
    mean, clean = ({} if result is None else result[key] for key in ("mean", "clean"))
    return {
        **_with_interval("robustness_top1", mean.get("top1"), mean.get("top1_interval")),
        "robustness_clean_top1": clean.get("top1"),
    }


def _with_interval(name: str, value: float | None, interval: list[float] | None) -> Scores:
    low, high = (None, None) if interval is None else interval
    return {name: value, f"{name}_low": low, f"{name}_high": high}


def _mean(many: Iterable[Scores]) -> Scores:
    rows = list(many)
    measured = {key: [row[key] for row in rows if row[key] is not None] for key in rows[0]}
    return _rounded(
        {
            key: fmean(v for v in values if v is not None) if values else None
            for key, values in measured.items()
        }
    )


def _rounded(scores: Scores) -> Scores:
    return {key: None if v is None else round(v, DECIMALS) for key, v in scores.items()}
