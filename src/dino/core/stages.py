"""The list of the workflow's stages, from which everything else is made or checked."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A stage of the workflow: it is executed once for each run, unless all runs share it."""

    text: str
    """What it does, as `dino --help` says it."""
    reads: tuple[str, ...] = ()
    """The stages whose outputs are its inputs."""
    shared: bool = False
    """Whether it is computed once for all runs."""
    per_dataset: bool = False
    """Whether it is executed once for each data set."""
    scores: bool = False
    """Whether it is an evaluation: it writes results/runs/RUN/NAME.json with rows of scores."""


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
        scores=True,
    ),
    "linear": Stage(
        text="train a linear classifier on the frozen features",
        reads=("prepare", "features"),
        scores=True,
    ),
    "linear_paper": Stage(
        text="train linear classifiers on new random crops in each epoch",
        reads=("prepare", "export", "features"),
        scores=True,
    ),
    "low_shot": Stage(
        text="classify with the labels of few training images",
        reads=("prepare", "features"),
        scores=True,
    ),
    "attention": Stage(
        text="score the [CLS] attention as a segmentation of the object",
        reads=("prepare", "export"),
        scores=True,
    ),
    "card": Stage(
        text="describe the exported teacher in a README.md beside it",
        reads=("prepare", "pretrain", "export", "knn", "linear", "attention"),
    ),
    "class_map": Stage(
        text="arrange the classes by their mean features",
        reads=("prepare", "features"),
        scores=True,
    ),
    "finetune": Stage(
        text="train the whole teacher on labels, and the same network from scratch",
        reads=("prepare", "export"),
        scores=True,
    ),
    "robustness": Stage(
        text="classify corrupted test images by their nearest clean neighbours",
        reads=("prepare", "export", "features"),
        scores=True,
    ),
    "silhouette": Stage(
        text="say how well the features separate the classes",
        reads=("prepare", "features"),
        scores=True,
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
"""The stages by name, in an order in which they can be executed."""
PER_RUN = tuple(name for name, stage in STAGES.items() if not stage.shared)
"""The stages that are executed once for each run."""
EVALUATIONS = tuple(name for name, stage in STAGES.items() if stage.scores)
"""The stages whose scores the report joins."""
SHARED = tuple(name for name, stage in _MEASURING.items() if stage.shared)
"""The stages that all runs share, without the report."""
PER_DATASET = tuple(name for name, stage in STAGES.items() if stage.per_dataset)
"""The stages that are executed once for each data set."""


def ancestors(stage: str) -> set[str]:
    """All stages whose outputs `stage` is made from, directly or not."""
    direct = STAGES[stage].reads
    return set(direct).union(*(ancestors(source) for source in direct))
