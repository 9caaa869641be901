"""features: compute the frozen features that the evaluations share."""

from typing import TYPE_CHECKING

from dino.core.artifacts import sha256_of_file
from dino.core.paths import MODELS, Project
from dino.core.precision import best_device, resolve_precision
from dino.core.provenance import Stopwatch
from dino.data.dataset import PreparedDataset
from dino.features.global_features import extract_features
from dino.features.teacher import load_backbone
from dino.stages.saving import save_provenance

if TYPE_CHECKING:
    from dino.core.configuration.parameters import Parameters, Run


def execute(project: Project, parameters: "Parameters", run: "Run") -> None:
    """Write artifacts/RUN/features/."""
    stopwatch = Stopwatch()
    paths = project.run(run.name)
    dataset = PreparedDataset.open(project.data(parameters.trained_on))
    backbones = {model: load_backbone(paths.model(model)) for model in MODELS}
    checksums = {
        model: sha256_of_file(paths.model(model) / "model.safetensors") for model in MODELS
    }
    extraction = Stopwatch()
    features = extract_features(backbones, checksums, dataset, parameters.features)
    passes_per_second = len(MODELS) * len(dataset) / extraction.seconds
    for model in MODELS:
        features[model].save(paths.features(model))
    save_provenance(
        project,
        "features",
        run,
        stopwatch,
        {"features": parameters.features},
        data=dataset.fingerprint,
        precision=resolve_precision(parameters.features.precision, best_device()),
        models=checksums,
        images_per_second=round(passes_per_second, 1),
    )
