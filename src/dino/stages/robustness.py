"""robustness: classify corrupted test images by their nearest clean training features."""

from typing import TYPE_CHECKING

from dino.core.paths import MODELS, Project
from dino.data.corruptions import STRENGTHS
from dino.evaluation.corrupted_images import CorruptedImages, robustness_scores
from dino.evaluation.robustness import robustness
from dino.features.teacher import load_backbone
from dino.stages.evaluation import Evaluation

if TYPE_CHECKING:
    from dino.core.configuration.parameters import Parameters, Run


def execute(project: Project, parameters: "Parameters", run: "Run") -> None:
    """Write results/runs/RUN/robustness.json."""
    evaluation = Evaluation(project, parameters, run, "robustness")
    config = parameters.robustness
    images = CorruptedImages(evaluation.dataset, config)
    backbones = {model: load_backbone(evaluation.network(model)) for model in MODELS}
    clean = {model: evaluation.features(model).last_cls_token for model in MODELS}
    results = robustness(backbones, clean, images, parameters.features, config)
    count = len(images.indices)
    evaluation.save(
        [score for model in MODELS for score in robustness_scores(model, results[model], count)],
        {
            "images": count,
            "neighbours": config.neighbours,
            "temperature": config.temperature,
            "strengths": STRENGTHS,
        },
        uses=("features",),
        precision=parameters.features.precision,
    )
