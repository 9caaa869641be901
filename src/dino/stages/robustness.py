"""robustness: classify corrupted test images by their nearest clean training features."""

from typing import TYPE_CHECKING, Any

from dino.core.artifacts import sha256_of_file, write_json
from dino.core.paths import MODELS, Project
from dino.core.precision import best_device, resolve_precision
from dino.core.provenance import Stopwatch, plain, provenance
from dino.data.corruptions import STRENGTHS
from dino.data.dataset import PreparedDataset
from dino.evaluation.corrupted_images import CorruptedImages
from dino.evaluation.robustness import robustness
from dino.features.feature_set import load_features
from dino.features.labelled_splits import no_labels
from dino.features.teacher import load_backbone

if TYPE_CHECKING:
    from dino.core.configuration.parameters import Parameters, Run


def execute(project: Project, parameters: "Parameters", run: "Run") -> None:
    """Write results/RUN/robustness.json."""
    stopwatch = Stopwatch()
    paths, config = project.run(run.name), parameters.robustness
    dataset = PreparedDataset.open(project.data)
    checksums = {
        model: sha256_of_file(paths.model(model) / "model.safetensors") for model in MODELS
    }
    result: dict[str, Any] = {"reason": no_labels(dataset.classes)}
    if result["reason"] is None:
        images = CorruptedImages(dataset, config)
        result = {
            "images": len(images.indices),
            "neighbours": config.neighbours,
            "temperature": config.temperature,
            "strengths": plain(STRENGTHS),
        }
        clean = {
            model: load_features(
                paths.features(model), dataset.fingerprint, checksums[model]
            ).cls_tokens[:, -1]
            for model in MODELS
        }
        backbones = {model: load_backbone(paths.model(model)) for model in MODELS}
        result |= plain(robustness(backbones, clean, images, parameters.features, config))
    write_json(paths.result("robustness"), result)
    write_json(
        paths.provenance("robustness"),
        provenance(
            "robustness",
            {"features": parameters.features, "robustness": config},
            project.root,
            stopwatch,
            data=dataset.fingerprint,
            seed=run.seed,
            models=checksums,
            precision=resolve_precision(parameters.features.precision, best_device()),
        ),
    )
