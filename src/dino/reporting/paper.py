"""Published numbers: those of the paper and of its reference repository, from paper.csv."""

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path

REFERENCE_SETTINGS = ("vanilla_100ep", "boosted_300ep")
"""The source of the main results: the reference repository's README, not the paper."""
METRICS = {
    "imagenet_knn_top1": "k-NN top-1",
    "imagenet_linear_top1": "linear top-1",
    "imagenet_top1": "top-1",
    "top1": "top-1",
    "jaccard": "Jaccard",
    "images_per_second": "images per second",
    "roxford_medium_map": "ROxford medium, mAP",
    "roxford_hard_map": "ROxford hard, mAP",
    "rparis_medium_map": "RParis medium, mAP",
    "rparis_hard_map": "RParis hard, mAP",
    "copydays_strong_map": "Copydays strong, mAP",
    "j_and_f_mean": "J and F, mean",
    "corloc": "CorLoc",
}
"""The measures as tables name them."""


@dataclass(frozen=True, kw_only=True)
class PaperRow:
    """One published number, and what of ours stands beside it."""

    table: str
    setting: str
    variant: str
    """Ours of that setting: a name in params.yaml's variants, random_init, or none."""
    label: str
    architecture: str
    metric: str
    score: str
    """Its name in summary.json; empty where nothing here measures it."""
    dataset: str
    """The source of images with which the difference means something; empty if none has."""
    epochs: int | None
    """The published time of the training, if there is one."""
    value: float
    hours: float | None
    memory_gb: float | None
    """The memory of each GPU."""
    note: str

    @property
    def by_reference(self) -> bool:
        """Whether the reference repository says so, not the paper."""
        return self.table == "main" and self.setting in REFERENCE_SETTINGS


@cache
def all_paper_rows() -> tuple[PaperRow, ...]:
    """Every published number, in the order of the file."""
    path = Path(__file__).with_name("paper.csv")
    with path.open(encoding="utf-8", newline="") as stream:
        return tuple(_row(cells) for cells in csv.DictReader(stream))


def paper_rows(*tables: str) -> tuple[PaperRow, ...]:
    """The rows of `tables`, in the order of the file."""
    return tuple(row for row in all_paper_rows() if row.table in tables)


def _row(cells: dict[str, str]) -> PaperRow:
    return PaperRow(
        table=cells["table"],
        setting=cells["setting"],
        variant=cells["variant"],
        label=cells["label"],
        architecture=cells["arch"],
        metric=cells["metric"],
        score=cells["score"],
        dataset=cells["dataset"],
        epochs=int(cells["epochs"]) if cells["epochs"] else None,
        value=float(cells["value"]),
        hours=float(cells["hours"]) if cells["hours"] else None,
        memory_gb=float(cells["memory_gb"]) if cells["memory_gb"] else None,
        note=cells["note"],
    )
