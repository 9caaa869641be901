"""linear: train linear classifiers on the frozen features."""

from typing import TYPE_CHECKING

from dino.core.paths import Project
from dino.evaluation.linear import classifier_input, linear
from dino.stages.scored_features import score_features

if TYPE_CHECKING:
    from dino.core.configuration.parameters import Parameters, Run


def execute(project: Project, parameters: "Parameters", run: "Run") -> None:
    """Write results/RUN/linear.json."""
    config = parameters.linear
    score_features(
        project,
        run,
        "linear",
        config,
        header={"epochs": config.epochs},
        inputs=lambda f: classifier_input(f.cls_tokens, f.patch_mean, config.average_pool),
        score=lambda splits: linear(splits, config),
    )
