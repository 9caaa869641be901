"""Tables that are pivots of the long table of scores: features down, scores across."""

from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, field
from statistics import fmean, stdev
from typing import Any

import pandas as pd

from dino.core.paths import RANDOM_INIT, TEACHER
from dino.reporting.kinds import features_of
from dino.reporting.results import Results
from dino.reporting.rows import with_settings
from dino.reporting.summary import DECIMALS, difference
from dino.reporting.table import Table, frame, nothing, with_intervals


@dataclass(frozen=True)
class Column:
    """One number of each row: the mean of its scores over seeds, or a difference of two."""

    heading: str
    _: KW_ONLY
    key: str = ""
    """Which scores: those with this name in summary.json. Empty: what `where` says."""
    where: Mapping[str, str] = field(default_factory=dict)
    """Which scores: the values of the long table's columns and of its settings."""
    minus: str = ""
    """The model whose score is taken away from it; empty: none."""
    interval: bool = True
    """Whether its interval, and the deviation over seeds, stand beside it."""

    def rows(self, scores: pd.DataFrame) -> pd.DataFrame:
        """Its rows of the long table."""
        chosen = pd.Series(True, index=scores.index)
        for name, value in ({"key": self.key} if self.key else self.where).items():
            chosen &= scores[name] == value if name in scores else value == ""
        return scores[chosen]


@dataclass(frozen=True, kw_only=True)
class Pivot:
    """A table with a row for each kind of features and a column for each score."""

    name: str
    caption: str | Callable[[Results], str]
    columns: Mapping[str, Column]
    evaluations: tuple[str, ...] = ()
    """The stages that measure its scores; none: the one that it is named after."""
    by: Mapping[str, str] = field(default_factory=dict)
    """Settings whose values have rows of their own, and the headings of their columns."""
    numbers: Mapping[str, str] = field(default_factory=dict)
    """The headings of columns of numbers that `more` fills."""
    words: Mapping[str, str] = field(default_factory=dict)
    """The headings of columns of words that `more` fills."""
    more: Callable[[Results, pd.DataFrame, pd.DataFrame], dict[str, Any]] | None = None
    """Gives further cells of a row, from the results, all scores of the table and the row's own."""
    shown: Callable[[Results], Mapping[str, Column]] | None = None
    """Gives the columns that say something of these results; None: all do."""
    only: Callable[[Results, pd.DataFrame], pd.DataFrame] | None = None
    """Gives those of the scores that are shown; None: all are."""
    features: str = "Features"
    """The heading of the rows' names."""
    names: Mapping[str, str] = field(default_factory=dict)
    """Models that are called otherwise than everywhere else."""
    why_none: Callable[[Results], str | None] = lambda _: None
    """Says why there is nothing in the table although its stages were executed."""

    def scores(self, scores: pd.DataFrame, given: Container[str]) -> pd.DataFrame:
        """The rows of the long table that it shows, with their settings and features' names.

        `given`: the runs whose teacher was trained elsewhere.
        """
        scores = with_settings(scores)
        names = features_of(scores, given)
        for model, name in self.names.items():
            other = scores["model"] == model
            names[other] = name + ", " + scores["architecture"][other]
        scores = scores.assign(features=names)
        shown = [column.rows(scores).index for column in self.columns.values()]
        return scores[scores.index.isin([label for index in shown for label in index])]

    def rows(self, scores: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
        """Each row of the table: the name of its features, and its rows of `scores`.

        Teachers come first, then random inits, then the other baselines.
        """
        order = scores["model"].map({TEACHER: 0, RANDOM_INIT: 1}).fillna(2)
        ordered = scores.loc[order.sort_values(kind="stable").index]
        settings = scores.drop_duplicates(list(self.by)) if self.by else scores.iloc[:1]
        for _, of_setting in settings.iterrows():
            alike = (ordered[list(self.by)] == of_setting[list(self.by)]).all(axis=1)
            for name, own in ordered[alike].groupby("features", sort=False):
                yield str(name), own

    def table(self, results: Results) -> Table:
        """The table, or the reason why nothing was measured."""
        columns = self.columns if self.shown is None else self.shown(results)
        headings = self._headings(columns, results)
        scores = self.scores(results.scores, results.given)
        if scores["value"].isna().all():
            reasons = (results.reason(name) for name in self.evaluations or (self.name,))
            reason = next(filter(None, reasons), None) or self.why_none(results)
            return nothing(self.name, reason or "no number was found", headings)
        if self.only is not None:
            scores = self.only(results, scores)
        cells = []
        for name, own in self.rows(scores):
            row: dict[str, Any] = {"features": name, **dict(own.iloc[0][list(self.by)])}
            row |= self._numbers(columns, scores, own)
            cells.append(row | (self.more(results, scores, own) if self.more else {}))
        caption = self.caption if isinstance(self.caption, str) else self.caption(results)
        return Table(
            name=self.name,
            caption=caption + results.over_seeds,
            headings=headings,
            frame=frame(cells, headings, text=("features", *self.by, *self.words)),
        )

    def _headings(self, columns: Mapping[str, Column], results: Results) -> dict[str, str]:
        with_bounds = {name for name, c in columns.items() if c.interval and not c.minus}
        headings = {name: column.heading for name, column in columns.items()}
        numbers = with_intervals(headings, with_bounds, results.has_seeds)
        return {"features": self.features, **self.by, **numbers, **self.numbers, **self.words}

    def _numbers(
        self, columns: Mapping[str, Column], scores: pd.DataFrame, own: pd.DataFrame
    ) -> dict[str, float | None]:
        cells: dict[str, float | None] = {}
        for name, column in columns.items():
            mean = estimate(column.rows(own))
            if column.minus:
                baseline = column.rows(self.compared_with(column, scores, own))
                cells[name] = difference(mean["value"], estimate(baseline)["value"])
                continue
            cells[name] = mean["value"]
            if column.interval:
                cells |= {f"{name}_{end}": mean[end] for end in ("low", "high", "sd")}
        return cells

    def compared_with(
        self, column: Column, scores: pd.DataFrame, own: pd.DataFrame
    ) -> pd.DataFrame:
        """The scores that the row `own` is compared with; none for what is a baseline itself."""
        models = set(own["model"])
        if column.minus in models or (column.minus == RANDOM_INIT and models != {TEACHER}):
            return scores.iloc[:0]
        baseline = scores[scores["model"] == column.minus]
        alike = (*self.by, *(("architecture",) if column.minus == RANDOM_INIT else ()))
        for name in alike:
            baseline = baseline[baseline[name].isin(own[name])]
        return baseline


def estimate(rows: pd.DataFrame) -> dict[str, float | None]:
    """The mean of the scores `rows`, the means of their bounds, and of seeds their deviation.

    Each is rounded; None where nothing was measured, and for the deviation of what has no seeds.
    """
    values = {name: rows[name].dropna().tolist() for name in ("value", "low", "high")}
    found = {name: round(fmean(v), DECIMALS) if v else None for name, v in values.items()}
    seeds = values["value"] if set(rows["model"]) == {TEACHER} else []
    return found | {"sd": round(stdev(seeds), DECIMALS) if len(seeds) > 1 else None}
