"""knn: classify the images of val and test by their nearest training features."""

from typing import TYPE_CHECKING

from dino.core.paths import MODELS, Project
from dino.core.score import Score
from dino.evaluation.knn import knn, knn_scores
from dino.features.labelled_splits import labelled_splits
from dino.stages.evaluation import Evaluation

if TYPE_CHECKING:
    from dino.core.configuration.parameters import Parameters, Run


def execute(project: Project, parameters: "Parameters", run: "Run") -> None:
    """Write results/runs/RUN/knn.json."""
    evaluation = Evaluation(project, parameters, run, "knn")
    config = parameters.knn
    scores: list[Score] = []
    for model in MODELS:
        features = evaluation.features(model).last_cls_token
        splits = labelled_splits(features, evaluation.manifest, evaluation.classes)
        found = knn(splits, config)
        scores += knn_scores(model, found, splits, config)
    evaluation.save(scores, {"headline": config.headline, "temperature": config.temperature})
