"""The stages of the workflow: the one list that everything else is made from or checked against."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A step of the workflow, which every run has its own of unless all runs share it."""

    text: str
    """What it does, as `dino --help` says it."""
    reads: tuple[str, ...] = ()
    """The stages whose outputs are its inputs."""
    shared: bool = False
    """Whether it is computed once for all runs."""
    per_dataset: bool = False
    """Whether every data set has its own of it."""


_MEASURING = {
    "prepare": Stage(
        text="make a data set: manifest, images, splits",
        shared=True,
        per_dataset=True,
    ),
    "pretrain": Stage(
        text="train a student and its momentum teacher on the prepared images",
        reads=("prepare",),
    ),
    "export": Stage(
        text="write the teacher, and the same network before step 0, as timm folders",
        reads=("pretrain",),
    ),
    "features": Stage(
        text="compute the frozen features that the evaluations share",
        reads=("prepare", "export"),
    ),
    "knn": Stage(
        text="classify the test images by their nearest training features",
        reads=("prepare", "features"),
    ),
    "linear": Stage(
        text="train a linear classifier on the frozen features",
        reads=("prepare", "features"),
    ),
    "linear_paper": Stage(
        text="train linear classifiers on new random crops in each epoch",
        reads=("prepare", "export", "features"),
    ),
    "low_shot": Stage(
        text="classify with the labels of few training images",
        reads=("prepare", "features"),
    ),
    "attention": Stage(
        text="score the [CLS] attention as a segmentation of the object",
        reads=("prepare", "export"),
    ),
    "card": Stage(
        text="describe the exported teacher in a README.md beside it",
        reads=("prepare", "pretrain", "export", "knn", "linear", "attention"),
    ),
    "class_map": Stage(
        text="arrange the classes by their mean features",
        reads=("prepare", "features"),
    ),
    "finetune": Stage(
        text="train the whole teacher on labels, and the same network from scratch",
        reads=("prepare", "export"),
    ),
    "robustness": Stage(
        text="classify corrupted test images by their nearest clean neighbours",
        reads=("prepare", "export", "features"),
    ),
    "baselines": Stage(
        text="score what needs no training: raw pixels, centre box, Otsu's threshold",
        reads=("prepare",),
        shared=True,
    ),
}
STAGES = {
    **_MEASURING,
    "report": Stage(
        text="write summary.json, tables, figures and report.html",
        reads=tuple(_MEASURING),
        shared=True,
    ),
}
"""By name, in an order that they can be executed in."""
PER_RUN = tuple(name for name, stage in STAGES.items() if not stage.shared)
"""The stages that every run has its own of."""
SHARED = tuple(name for name, stage in _MEASURING.items() if stage.shared)
"""Those that all runs share, the report apart."""
PER_DATASET = tuple(name for name, stage in STAGES.items() if stage.per_dataset)
"""Those that every data set has its own of."""


def ancestors(stage: str) -> set[str]:
    """All stages whose outputs `stage` is made from, directly or not."""
    direct = STAGES[stage].reads
    return set(direct).union(*(ancestors(source) for source in direct))
