"""low_shot: logistic regression on the features of few training images."""

from typing import TYPE_CHECKING

from dino.core.paths import Project
from dino.evaluation.low_shot import low_shot
from dino.stages.scored_features import last_cls_token, score_features

if TYPE_CHECKING:
    from dino.core.configuration.parameters import Parameters, Run


def execute(project: Project, parameters: "Parameters", run: "Run") -> None:
    """Write results/RUN/low_shot.json."""
    config = parameters.low_shot
    score_features(
        project,
        run,
        "low_shot",
        config,
        header={"inverse_penalty": config.inverse_penalty},
        inputs=last_cls_token,
        score=lambda splits: low_shot(splits, config),
    )
