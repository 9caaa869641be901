"""Everything that the evaluations measured, as read from the result files."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd
from numpy.typing import NDArray

from dino.reporting.kinds import label_of_seeds, random_init_is, source_of, teacher_kind
from dino.reporting.rows import long_table


@dataclass(frozen=True, kw_only=True)
class RunResults:
    """One pretraining and what was measured on its teacher and on that teacher before step 0."""

    name: str
    architecture: str
    variant: str
    seed: int
    log: pd.DataFrame
    """pretrain.csv; without a row where the teacher was not trained here."""
    details: Mapping[str, dict[str, Any]]
    """By evaluation: what stands in its result file besides the scores."""
    maps: dict[str, NDArray[Any]]
    """attention_maps.npz."""
    rows: tuple[dict[str, Any], ...] = ()
    """The scores of all evaluations, each with the name of its evaluation."""
    weights: dict[str, Any] | None = None
    """Where the teacher is from, as `architectures.NAME.weights` has it; None if trained here."""

    @property
    def variant_name(self) -> str:
        """Its architecture and variant, whatever the seed: the key of summary.json's groups."""
        return f"{self.architecture}-{self.variant}"

    @property
    def trained(self) -> bool:
        """False where the architecture has weights of its own, which were only evaluated."""
        return len(self.log) > 0

    @property
    def kind(self) -> str:
        """What made the teacher, as tables name it."""
        return teacher_kind(self.trained)


@dataclass(frozen=True, kw_only=True)
class Group:
    """The runs of one architecture and variant, which differ in their seed alone."""

    architecture: str
    variant: str
    runs: tuple[RunResults, ...]

    @property
    def name(self) -> str:
        """Its key in summary.json, such as vit_small_16-dino."""
        return self.runs[0].variant_name

    @property
    def label(self) -> str:
        """As tables and figures call it: a single run by its own name."""
        return label_of_seeds([run.name for run in self.runs], self.name)

    @property
    def kind(self) -> str:
        """What made the teachers, as tables name it."""
        return self.runs[0].kind


@dataclass(frozen=True, kw_only=True)
class Results:
    """All runs of the matrix, in the order of params.yaml, and what they are compared with."""

    dataset_name: str
    """That of the data set which everything was measured on, as params.yaml has it."""
    dataset: dict[str, Any]
    """Its dataset.json."""
    baselines: dict[str, Any]
    runs: tuple[RunResults, ...]

    @cached_property
    def scores(self) -> pd.DataFrame:
        """Every score as one row (see `dino.reporting.rows`): those of the runs, then baselines."""
        of_runs = [
            {
                "run": run.name,
                "architecture": run.architecture,
                "variant": run.variant,
                "seed": run.seed,
                **row,
            }
            for run in self.runs
            for row in run.rows
        ]
        rows = [*of_runs, *self.baselines["scores"]]
        return long_table({"dataset": self.dataset_name, **row} for row in rows)

    @property
    def architectures(self) -> tuple[str, ...]:
        """Every architecture once, in the order of the runs."""
        return tuple(dict.fromkeys(run.architecture for run in self.runs))

    @property
    def groups(self) -> tuple[Group, ...]:
        """Every pair of architecture and variant once, in the order of the runs."""
        pairs = dict.fromkeys((run.architecture, run.variant) for run in self.runs)
        return tuple(
            Group(
                architecture=architecture,
                variant=variant,
                runs=tuple(
                    run
                    for run in self.runs
                    if (run.architecture, run.variant) == (architecture, variant)
                ),
            )
            for architecture, variant in pairs
        )

    @property
    def has_seeds(self) -> bool:
        """Whether some architecture and variant was trained with several seeds."""
        return len(self.groups) < len(self.runs)

    @property
    def over_seeds(self) -> str:
        """What the tables' captions say about several seeds; empty where each run is alone."""
        if not self.has_seeds:
            return ""
        return (
            " Of several seeds, the mean ± the sample standard deviation over them stands in "
            "place of the interval."
        )

    @property
    def leading(self) -> tuple[Group, ...]:
        """Each architecture's first variant, which stands for it."""
        first = {group.architecture: group for group in reversed(self.groups)}
        return tuple(first[architecture] for architecture in self.architectures)

    @property
    def not_trained(self) -> str:
        """A sentence that names the runs which were evaluated alone; empty without any."""
        names = [
            run.name + (f" ({source_of(run.weights)})" if run.weights else "")
            for run in self.runs
            if not run.trained
        ]
        return f" Not trained here: {', '.join(names)}." if names else ""

    @property
    def given(self) -> frozenset[str]:
        """The names of the runs whose teacher was trained elsewhere."""
        return frozenset(run.name for run in self.runs if not run.trained)

    @property
    def any_trained(self) -> bool:
        """Whether some teacher was trained here."""
        return any(run.trained for run in self.runs)

    @property
    def random_init_is(self) -> str:
        """What random init is, in words, beside these teachers."""
        return random_init_is(all(run.trained for run in self.runs))

    def reason(self, stage: str) -> str | None:
        """Why `stage` measured nothing in any run; None where it did in some."""
        reasons = [run.details[stage].get("reason") for run in self.runs]
        return None if None in reasons else str(reasons[0])

    def measured(self, stage: str) -> dict[str, Any]:
        """What `stage` measured of the first run that it measured anything of."""
        found = (run.details[stage] for run in self.runs)
        first: dict[str, Any] = next(result for result in found if "reason" not in result)
        return first

    @property
    def headline(self) -> str:
        """The number of neighbours whose accuracy is shown, as the result files' key.

        A dash where none was measured.
        """
        return str(self.runs[0].details["knn"].get("headline", "\N{EN DASH}"))

    @property
    def no_accuracies(self) -> str | None:
        """Why no accuracy was measured; None where accuracies were."""
        return self.reason("knn")
