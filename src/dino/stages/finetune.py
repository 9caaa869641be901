"""finetune: train the whole teacher on labelled images, and the same network from scratch."""

from typing import TYPE_CHECKING, Any

from dino.core.artifacts import sha256_of_file, write_json
from dino.core.paths import MODELS, RANDOM_INIT, TEACHER, Project
from dino.core.precision import best_device, resolve_precision
from dino.core.provenance import Stopwatch, plain, provenance
from dino.data.dataset import PreparedDataset
from dino.evaluation.finetune import finetune, training_images
from dino.features.labelled_splits import no_labels
from dino.features.teacher import load_trainable_backbone

if TYPE_CHECKING:
    from dino.core.configuration.parameters import Parameters, Run


def execute(project: Project, parameters: "Parameters", run: "Run") -> None:
    """Write results/RUN/finetune.json."""
    stopwatch = Stopwatch()
    paths, config = project.run(run.name), parameters.finetune
    dataset = PreparedDataset.open(project.data)
    result: dict[str, Any] = {"reason": no_labels(dataset.classes)}
    if result["reason"] is None:
        backbones = {
            model: load_trainable_backbone(paths.model(model), config.drop_path) for model in MODELS
        }
        layer_decays = {TEACHER: config.layer_decay, RANDOM_INIT: config.scratch_layer_decay}
        result = {
            "train_images": len(training_images(dataset, config)),
            "epochs": config.epochs,
            **plain(finetune(backbones, layer_decays, dataset, config)),
        }
    write_json(paths.result("finetune"), result)
    write_json(
        paths.provenance("finetune"),
        provenance(
            "finetune",
            {"finetune": config},
            project.root,
            stopwatch,
            data=dataset.fingerprint,
            seed=run.seed,
            models={
                model: sha256_of_file(paths.model(model) / "model.safetensors") for model in MODELS
            },
            precision=resolve_precision(config.precision, best_device()),
        ),
    )
