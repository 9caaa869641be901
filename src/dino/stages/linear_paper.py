"""linear_paper: train linear classifiers on new random crops in each epoch, as the paper does."""

from typing import TYPE_CHECKING

from dino.core.paths import TEACHER, Project
from dino.evaluation.linear import classifier_input
from dino.evaluation.linear_paper import linear_paper
from dino.evaluation.trained_classifier import trained_classifier_details, trained_classifier_scores
from dino.features.labelled_splits import labelled_splits
from dino.features.teacher import load_backbone
from dino.stages.evaluation import Evaluation

if TYPE_CHECKING:
    from dino.core.configuration.parameters import Parameters, Run


def execute(project: Project, parameters: "Parameters", run: "Run") -> None:
    """Write results/runs/RUN/linear_paper.json."""
    evaluation = Evaluation(project, parameters, run, "linear_paper")
    config, dataset = parameters.linear_paper, evaluation.dataset
    backbone = load_backbone(evaluation.network(TEACHER))
    features = evaluation.features(TEACHER)
    inputs = classifier_input(features.cls_tokens, features.patch_mean, config.average_pool)
    splits = labelled_splits(inputs, dataset.manifest, dataset.classes)
    result = linear_paper(backbone, dataset, splits, config, parameters.features)
    evaluation.save(
        trained_classifier_scores("linear_paper", TEACHER, result, splits.images),
        {"epochs": config.epochs, TEACHER: trained_classifier_details(result)},
        uses=("features",),
        precision=parameters.features.precision,
    )
