"""What was measured here, as the tables of the paper look it up."""

from dataclasses import dataclass
from typing import Any

from dino.core.paths import RANDOM_INIT
from dino.metrics.paired import mean_difference
from dino.reporting.results import Group, Results
from dino.reporting.summary import DECIMALS

PAPER_PROTOCOL = "paper@0.6"
"""The paper's protocol of attention masks: the best head for each object, 60 % of the mass."""

IMAGENET_TRAIN, IMAGENET_TEST = 1_281_167, 50_000
UNREADABLE = 100
"""The largest number of training images that a copy may lack or that quarantine may hold."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A score over `n` seeds: their mean with its deviation, or with the interval of one."""

    value: float
    low: float | None
    high: float | None
    sd: float | None
    n: int


@dataclass(frozen=True, kw_only=True)
class Ours:
    """The results of this project by architecture and variant."""

    results: Results
    summary: dict[str, Any]

    @property
    def dataset(self) -> str:
        """The source of the images."""
        return str(self.results.dataset["source"])

    @property
    def is_part(self) -> bool:
        """Whether images of ImageNet were left out that its published numbers count."""
        counts = self.results.dataset["counts"]
        return self.dataset == "imagenet" and (
            counts["train"] + counts["val"] < IMAGENET_TRAIN - UNREADABLE
            or counts["test"] < IMAGENET_TEST
        )

    @property
    def finetuned_on_part(self) -> bool:
        """Whether fine-tuning saw fewer labelled images than there are."""
        images = self.results.runs[0].details["finetune"].get("train_images", 0)
        return bool(images < self.results.dataset["counts"]["train"])

    def architecture_beside(self, architecture: str) -> str:
        """Our architecture that stands beside the paper's: the same one, else the first."""
        architectures = self.results.architectures
        return architecture if architecture in architectures else architectures[0]

    def group(self, architecture: str, variant: str) -> Group | None:
        """The runs of a variant; None where it was not run."""
        for group in self.results.groups:
            if (group.architecture, group.variant) == (architecture, variant):
                return group
        return None

    def measured(self, architecture: str, variant: str, score: str) -> Measured | None:
        """A score of a variant, or of random init; None where it was not measured."""
        if variant == RANDOM_INIT:
            return self._of_random_init(architecture, score)
        group = self.group(architecture, variant)
        if group is None:
            return None
        values = self._scores(group, score)
        if not values:
            return None
        entry = self.summary["groups"][group.name]
        mean = entry["mean"]
        return Measured(
            value=mean[score],
            low=mean.get(f"{score}_low"),
            high=mean.get(f"{score}_high"),
            sd=(entry["deviation"] or {}).get(score),
            n=len(values),
        )

    def change(
        self, architecture: str, variant: str, baseline: str, score: str
    ) -> tuple[float, tuple[float, float] | None] | None:
        """Variant minus baseline over the seeds that both have, and its 95 % interval."""
        group, other = self.group(architecture, variant), self.group(architecture, baseline)
        if group is None or other is None or variant == baseline:
            return None
        ours, theirs = self._scores(group, score), self._scores(other, score)
        seeds = [seed for seed in ours if seed in theirs]
        return mean_difference([ours[s] for s in seeds], [theirs[s] for s in seeds])

    def _scores(self, group: Group, score: str) -> dict[int, float]:
        """By seed, of the runs in which it was measured."""
        runs = [run for run in group.runs if self._comparable(run.details["attention"], score)]
        values = {run.seed: self.summary["runs"][run.name].get(score) for run in runs}
        return {seed: value for seed, value in values.items() if value is not None}

    def _of_random_init(self, architecture: str, score: str) -> Measured | None:
        random_init = self.summary["baselines"]["random_init"]["by_architecture"]
        runs = [run for run in self.results.runs if run.architecture == architecture]
        if not runs or not self._comparable(runs[0].details["attention"], score):
            return None
        scores = random_init[architecture]
        if scores.get(score) is None:
            return None
        low, high = scores.get(f"{score}_low"), scores.get(f"{score}_high")
        seeds = len({run.seed for run in runs})
        return Measured(value=scores[score], low=low, high=high, sd=None, n=seeds)

    @staticmethod
    def _comparable(attention: dict[str, Any], score: str) -> bool:
        # the headline may be another protocol, whose number says something else
        return score != "attention_jaccard" or attention["headline"] == PAPER_PROTOCOL


def epochs_trained(group: Group) -> int | None:
    """For how many epochs its runs were trained; None for weights that were given."""
    run = group.runs[0]
    return round(float(run.log["epoch"].iloc[-1])) if run.trained else None


def points(ours: float, published: float) -> float:
    """How far ours lies above what was published."""
    return round(ours - published, DECIMALS)
