"""linear: train linear classifiers on the frozen features."""

from typing import TYPE_CHECKING, Any

from dino.core.paths import MODELS, Project
from dino.core.score import Score
from dino.evaluation.linear import classifier_input, linear
from dino.evaluation.trained_classifier import trained_classifier_details, trained_classifier_scores
from dino.features.labelled_splits import labelled_splits
from dino.stages.evaluation import Evaluation

if TYPE_CHECKING:
    from dino.core.configuration.parameters import Parameters, Run


def execute(project: Project, parameters: "Parameters", run: "Run") -> None:
    """Write results/runs/RUN/linear.json."""
    evaluation = Evaluation(project, parameters, run, "linear")
    config = parameters.linear
    scores: list[Score] = []
    details: dict[str, Any] = {"epochs": config.epochs}
    for model in MODELS:
        features = evaluation.features(model)
        inputs = classifier_input(features.cls_tokens, features.patch_mean, config.average_pool)
        splits = labelled_splits(inputs, evaluation.manifest, evaluation.classes)
        found = linear(splits, config)
        scores += trained_classifier_scores("linear", model, found, splits.images)
        details[model] = trained_classifier_details(found)
    evaluation.save(scores, details)
