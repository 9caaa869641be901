"""class_map: arrange the classes by their mean features, and compare with superclasses."""

from typing import TYPE_CHECKING, Any

from dino.core.configuration.class_map import superclass_of
from dino.core.paths import MODELS, Project
from dino.core.score import Score
from dino.evaluation.class_map import class_map, class_map_details, class_map_scores
from dino.stages.evaluation import Evaluation

if TYPE_CHECKING:
    from dino.core.configuration.parameters import Parameters, Run


def execute(project: Project, parameters: "Parameters", run: "Run") -> None:
    """Write results/runs/RUN/class_map.json."""
    evaluation = Evaluation(project, parameters, run, "class_map")
    config, classes = parameters.class_map, evaluation.classes
    scores: list[Score] = []
    details: dict[str, Any] = {
        "split": config.split,
        "classes": classes,
        "superclass_of": superclass_of(classes, config.superclasses),
    }
    for model in MODELS:
        features = evaluation.features(model).last_cls_token.numpy()
        found = class_map(features, evaluation.manifest, classes, config)
        scores += class_map_scores(model, found, config)
        details[model] = class_map_details(found)
    evaluation.save(scores, details)
