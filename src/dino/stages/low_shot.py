"""low_shot: logistic regression on the features of few training images."""

from typing import TYPE_CHECKING, Any

from dino.core.paths import MODELS, Project
from dino.evaluation.low_shot import low_shot
from dino.features.labelled_splits import labelled_splits
from dino.stages.evaluation import Evaluation

if TYPE_CHECKING:
    from dino.core.configuration.parameters import Parameters, Run


def execute(project: Project, parameters: "Parameters", run: "Run") -> None:
    """Write results/runs/RUN/low_shot.json."""
    evaluation = Evaluation(project, parameters, run, "low_shot")
    config = parameters.low_shot
    result: dict[str, Any] = {"inverse_penalty": config.inverse_penalty}
    for model in MODELS:
        features = evaluation.features(model).last_cls_token
        splits = labelled_splits(features, evaluation.manifest, evaluation.classes)
        result[model] = low_shot(splits, config)
    evaluation.save(result)
