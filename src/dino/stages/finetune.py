"""finetune: train the whole teacher on labelled images, and the same network from scratch."""

from typing import TYPE_CHECKING, get_args

from dino.core.paths import MODELS, RANDOM_INIT, TEACHER, Project
from dino.data.dataset import Split
from dino.evaluation.finetune import finetune, training_images
from dino.evaluation.trained_classifier import trained_classifier_details, trained_classifier_scores
from dino.features.teacher import load_trainable_backbone
from dino.stages.evaluation import Evaluation

if TYPE_CHECKING:
    from dino.core.configuration.parameters import Parameters, Run


def execute(project: Project, parameters: "Parameters", run: "Run") -> None:
    """Write results/runs/RUN/finetune.json."""
    evaluation = Evaluation(project, parameters, run, "finetune")
    config, dataset = parameters.finetune, evaluation.dataset
    backbones = {
        model: load_trainable_backbone(evaluation.network(model), config.drop_path)
        for model in MODELS
    }
    layer_decays = {TEACHER: config.layer_decay, RANDOM_INIT: config.scratch_layer_decay}
    results = finetune(backbones, layer_decays, dataset, config)
    images = {split: len(dataset.indices(split)) for split in get_args(Split)}
    evaluation.save(
        [
            score
            for model in MODELS
            for score in trained_classifier_scores("finetune", model, results[model], images)
        ],
        {
            "train_images": len(training_images(dataset, config)),
            "epochs": config.epochs,
            **{model: trained_classifier_details(results[model]) for model in MODELS},
        },
        precision=config.precision,
    )
