"""silhouette: say how well the features separate the classes."""

from typing import TYPE_CHECKING

from dino.core.paths import MODELS, Project
from dino.core.score import Score
from dino.evaluation.silhouette import silhouette_scores
from dino.features.labelled_splits import labelled_splits
from dino.stages.evaluation import Evaluation

if TYPE_CHECKING:
    from dino.core.configuration.parameters import Parameters, Run


def execute(project: Project, parameters: "Parameters", run: "Run") -> None:
    """Write results/runs/RUN/silhouette.json."""
    evaluation = Evaluation(project, parameters, run, "silhouette")
    split = parameters.silhouette.split
    scores: list[Score] = []
    for model in MODELS:
        features = evaluation.features(model).last_cls_token
        splits = labelled_splits(features, evaluation.manifest, evaluation.classes)
        scores += silhouette_scores(model, getattr(splits, split), split)
    evaluation.save(scores, {"split": split})
