"""class_map: arrange the classes by their mean features, and compare with superclasses."""

from typing import TYPE_CHECKING, Any

from dino.core.configuration.class_map import superclass_of
from dino.core.paths import MODELS, Project
from dino.evaluation.class_map import class_map
from dino.stages.evaluation import Evaluation

if TYPE_CHECKING:
    from dino.core.configuration.parameters import Parameters, Run


def execute(project: Project, parameters: "Parameters", run: "Run") -> None:
    """Write results/runs/RUN/class_map.json."""
    evaluation = Evaluation(project, parameters, run, "class_map")
    config, classes = parameters.class_map, evaluation.classes
    result: dict[str, Any] = {
        "split": config.split,
        "classes": classes,
        "superclass_of": superclass_of(classes, config.superclasses),
    }
    for model in MODELS:
        features = evaluation.features(model).last_cls_token.numpy()
        result[model] = class_map(features, evaluation.manifest, classes, config)
    evaluation.save(result)
