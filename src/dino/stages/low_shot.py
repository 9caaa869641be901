"""low_shot: logistic regression on the features of few training images."""

from typing import TYPE_CHECKING, Any

from dino.core.paths import MODELS, Project
from dino.core.score import Score
from dino.evaluation.low_shot import drawn_counts, low_shot, low_shot_scores
from dino.features.labelled_splits import labelled_splits
from dino.stages.evaluation import Evaluation

if TYPE_CHECKING:
    from dino.core.configuration.parameters import Parameters, Run


def execute(project: Project, parameters: "Parameters", run: "Run") -> None:
    """Write results/runs/RUN/low_shot.json."""
    evaluation = Evaluation(project, parameters, run, "low_shot")
    config = parameters.low_shot
    scores: list[Score] = []
    details: dict[str, Any] = {"inverse_penalty": config.inverse_penalty}
    for model in MODELS:
        features = evaluation.features(model).last_cls_token
        splits = labelled_splits(features, evaluation.manifest, evaluation.classes)
        found = low_shot(splits, config)
        scores += low_shot_scores(model, found, splits.images["test"])
        details["drawn"] = drawn_counts(found)
    evaluation.save(scores, details)
