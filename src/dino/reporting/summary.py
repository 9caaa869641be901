"""The few numbers that stand for the whole project: results/summary.json."""

from collections.abc import Iterable
from statistics import fmean, stdev
from typing import Any

from dino.core.paths import RANDOM_INIT, TEACHER
from dino.reporting.results import Group, Results, RunResults
from dino.reporting.scores import (
    Scores,
    attention_scores,
    class_map_scores,
    finetune_scores,
    jaccard_scores,
    knn_scores,
    linear_scores,
    low_shot_scores,
    robustness_scores,
)

DECIMALS = 2
"""Of every percentage: 10,000 test images resolve 0.01 %."""


def summarise(results: Results) -> dict[str, Any]:
    """Dataset, scores of every run, and scores of the baselines; percentages of the test split.

    `knn_*` count the headline number of neighbours; `linear_*` are those of the last epoch,
    `linear_best_top1` of the epoch that was best on val; the learning rate was chosen on val.
    `linear_paper_*` are by the paper's protocol, for the teacher alone. `low_shot_1_top1` is the
    mean over the draws of 1 % of the labels, with its `_deviation` over them. `attention_jaccard`
    is that of the first protocol with the first mass, `attention_fixed_head_jaccard` and
    `attention_mean_heads_jaccard` of the two others with that mass; null for a backbone without
    [CLS] attention. `class_map_spearman` is a correlation, -1 to 1, null without superclasses.
    `finetune_top1` of random init is training from scratch. `robustness_top1` is the mean over
    corruptions and severities. Without labels accuracies are null. `NAME_low` and `NAME_high` are
    the 95 % interval of NAME over the test images; that of a mean over runs is the mean of theirs.
    `groups` holds, for the seeds of each architecture and variant, their number n, the mean and
    the sample standard deviation (null for one seed); a score that some seeds lack is that of the
    others. The random-init baseline is each run's own teacher before step 0: the mean over runs,
    and over the runs of each architecture. Equal results give equal values: nothing here depends on
    when or where the stages ran.
    """
    random_init = {run.name: _scores_of_run(run, RANDOM_INIT) for run in results.runs}
    baselines = results.baselines
    pixels = baselines["raw_pixels"]
    return {
        "dataset": _dataset(results.dataset),
        "runs": {run.name: _rounded(_scores_of_run(run, TEACHER)) for run in results.runs},
        "groups": {group.name: _over_seeds(group) for group in results.groups},
        "baselines": {
            "raw_pixels": _rounded(
                {
                    **knn_scores(pixels.get("knn", {}), results.headline),
                    **linear_scores(pixels.get("linear", {})),
                    **low_shot_scores(pixels.get("low_shot", {})),
                    **class_map_scores(pixels.get("class_map", {})),
                    **robustness_scores(pixels.get("robustness", {})),
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
            "centre_box": _rounded(jaccard_scores(baselines["centre_box"])),
            "otsu": _rounded(jaccard_scores(baselines["otsu"])),
        },
    }


def scores_of_group(summary: dict[str, Any], group: Group) -> Scores:
    """The mean of each score over the group's seeds and, of several, NAME_sd, its deviation."""
    entry = summary["groups"][group.name]
    deviation = entry["deviation"] or {}
    return {**entry["mean"], **{f"{name}_sd": value for name, value in deviation.items()}}


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
        **knn_scores(run.knn.get(model, {}), str(run.knn.get("headline"))),
        **linear_scores(run.linear.get(model, {})),
        **linear_scores(run.linear_paper.get(model, {}), "linear_paper"),
        **low_shot_scores(run.low_shot.get(model, {})),
        **attention_scores(run.attention, model),
        **class_map_scores(run.class_map.get(model, {})),
        **finetune_scores(run.finetune.get(model, {})),
        **robustness_scores(run.robustness.get(model, {})),
    }


def _over_seeds(group: Group) -> dict[str, Any]:
    seeds = [_scores_of_run(run, TEACHER) for run in group.runs]
    return {
        "n": len(seeds),
        "mean": _mean(seeds),
        "deviation": _deviation(seeds) if len(seeds) > 1 else None,
    }


def _deviation(seeds: list[Scores]) -> Scores:
    """Of every score; bounds of intervals and deviations over draws have none of their own."""
    names = [name for name in seeds[0] if not name.endswith(("_low", "_high", "_deviation"))]
    measured = {name: [s[name] for s in seeds if s[name] is not None] for name in names}
    return _rounded(
        {
            name: stdev(v for v in values if v is not None) if len(values) > 1 else None
            for name, values in measured.items()
        }
    )


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
