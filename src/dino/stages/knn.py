"""knn: classify the images of val and test by their nearest training features."""

from typing import TYPE_CHECKING

from dino.core.paths import Project
from dino.evaluation.knn import knn
from dino.stages.scored_features import last_cls_token, score_features

if TYPE_CHECKING:
    from dino.core.configuration.parameters import Parameters, Run


def execute(project: Project, parameters: "Parameters", run: "Run") -> None:
    """Write results/RUN/knn.json."""
    config = parameters.knn
    score_features(
        project,
        run,
        "knn",
        config,
        header={"headline": config.headline, "temperature": config.temperature},
        inputs=last_cls_token,
        score=lambda splits: knn(splits, config),
    )
