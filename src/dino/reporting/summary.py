"""The few numbers that stand for the whole project: results/summary.json and metrics.json."""

from collections.abc import Callable, Iterable
from statistics import fmean, stdev
from typing import Any

import pandas as pd

from dino.core.paths import RANDOM_INIT, TEACHER
from dino.core.score import DEVIATION
from dino.reporting.results import Group, Results

DECIMALS = 2
"""The decimals of every percentage: 10,000 test images resolve 0.01 %."""
Scores = dict[str, float | None]
"""Scores by their names; None: not measured. NAME_low and NAME_high are the interval of NAME."""


def summarise(results: Results) -> dict[str, Any]:
    """Dataset, scores of every run, and scores of the baselines; percentages of the test split.

    They are the rows of `results.scores` that have a key, by which they stand here. `NAME_low` and
    `NAME_high` are the 95 % interval of NAME over the test images; that of a mean over runs is the
    mean of theirs. A score that another model or run has is null where it was not measured.
    `groups` holds, for the seeds of each architecture and variant, their number n, the mean and
    the sample standard deviation (null for one seed); a score that some seeds lack is that of the
    others. The random-init baseline is each run's own teacher before step 0: the mean over runs,
    and over the runs of each architecture. Equal results give equal values: nothing here depends on
    when or where the stages ran.
    """
    named = _named(results.scores)
    of_runs = _wide(named[named["run"] != ""])
    of_baselines = named[named["run"] == ""]
    teachers, random_inits = (_of_model(of_runs, model) for model in (TEACHER, RANDOM_INIT))
    names = [run.name for run in results.runs]
    return {
        "dataset": _dataset(results.dataset),
        "runs": {name: _over(teachers, [name], fmean) for name in names},
        "groups": {group.name: _over_seeds(teachers, group) for group in results.groups},
        "baselines": {
            **{
                model: _over(_wide(of_baselines[of_baselines["model"] == model]), None, fmean)
                for model in results.baselines
                if model not in ("reason", "scores")
            },
            RANDOM_INIT: {
                **_over(random_inits, names, fmean),
                "by_architecture": {
                    architecture: _over(
                        random_inits,
                        [run.name for run in results.runs if run.architecture == architecture],
                        fmean,
                    )
                    for architecture in results.architectures
                },
            },
        },
    }


def headlines(results: Results, summary: dict[str, Any]) -> dict[str, Scores]:
    """The first named score of each evaluation, by run, and by group where it has several seeds.

    They are few, so that a table of all experiments still has room for them.
    """
    scores = results.scores
    named = scores[(scores["model"] == TEACHER) & (scores["key"] != "")]
    keys = named.drop_duplicates("evaluation")["key"].tolist()
    entries = {
        **{run.name: summary["runs"][run.name] for run in results.runs},
        **{
            group.name: summary["groups"][group.name]["mean"]
            for group in results.groups
            if len(group.runs) > 1
        },
    }
    return {name: {key: entry.get(key) for key in keys} for name, entry in entries.items()}


def scores_of_group(summary: dict[str, Any], group: Group) -> Scores:
    """The mean of each score over the group's seeds and, of several, NAME_sd, its deviation."""
    entry = summary["groups"][group.name]
    deviation = entry["deviation"] or {}
    return {**entry["mean"], **{f"{name}_sd": value for name, value in deviation.items()}}


def difference(score: float | None, baseline: float | None) -> float | None:
    """The points by which `score` lies above `baseline`; None if either was not measured."""
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


def _named(scores: pd.DataFrame) -> pd.DataFrame:
    """One row for each number of the summary: run, model, name, number, and whether it is a score.

    The bounds of an interval are numbers of their own; a deviation has none.
    """
    rows = scores[scores["key"] != ""]
    estimates = rows[rows["metric"] != DEVIATION]
    parts = [rows.assign(name=rows["key"], number=rows["value"])]
    for end in ("low", "high"):
        parts.append(estimates.assign(name=estimates["key"] + f"_{end}", number=estimates[end]))
    return pd.concat(parts)[["run", "model", "name", "number", "metric"]]


def _wide(named: pd.DataFrame) -> pd.DataFrame:
    """A row for each model and run, a column for each name; NaN where it was not measured."""
    # pivot refuses two scores of one name, where pivot_table would take their mean
    return named.pivot(  # noqa: PD010
        index=["model", "run"], columns="name", values="number"
    )


def _of_model(wide: pd.DataFrame, model: str) -> pd.DataFrame:
    of_model = wide[wide.index.get_level_values("model") == model]
    return of_model.droplevel("model")


def _over_seeds(teachers: pd.DataFrame, group: Group) -> dict[str, Any]:
    names = [run.name for run in group.runs]
    return {
        "n": len(names),
        "mean": _over(teachers, names, fmean),
        "deviation": _deviation(teachers, names) if len(names) > 1 else None,
    }


def _deviation(teachers: pd.DataFrame, names: list[str]) -> Scores:
    """The deviation of every score, but not of bounds of intervals and of deviations over draws."""
    ends = ("_low", "_high", f"_{DEVIATION}")
    scores = [name for name in teachers.columns if not name.endswith(ends)]
    return _over(teachers[scores], names, lambda values: stdev(values) if values[1:] else None)


def _over(
    table: pd.DataFrame, names: list[str] | None, mean: Callable[[list[float]], float | None]
) -> Scores:
    """The `mean` of each column over the rows `names` (None: all) that have a number."""
    rows = table if names is None else table.reindex(names)
    return {name: _rounded(rows[name].dropna().tolist(), mean) for name in rows.columns}


def _rounded(values: Iterable[float], mean: Callable[[list[float]], float | None]) -> float | None:
    measured = list(values)
    value = mean(measured) if measured else None
    return None if value is None else round(value, DECIMALS)
