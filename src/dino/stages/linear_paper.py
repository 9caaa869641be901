"""linear_paper: train linear classifiers on new random crops in each epoch, as the paper does."""

from typing import TYPE_CHECKING, Any

from dino.core.artifacts import sha256_of_file, write_json
from dino.core.paths import TEACHER, Project
from dino.core.precision import best_device, resolve_precision
from dino.core.provenance import Stopwatch, plain, provenance
from dino.data.dataset import PreparedDataset
from dino.evaluation.linear import classifier_input
from dino.evaluation.linear_paper import linear_paper
from dino.features.feature_set import load_features
from dino.features.labelled_splits import labelled_splits, no_labels
from dino.features.teacher import load_backbone

if TYPE_CHECKING:
    from dino.core.configuration.parameters import Parameters, Run


def execute(project: Project, parameters: "Parameters", run: "Run") -> None:
    """Write results/RUN/linear_paper.json."""
    stopwatch = Stopwatch()
    paths, config = project.run(run.name), parameters.linear_paper
    dataset = PreparedDataset.open(project.data)
    folder = paths.model(TEACHER)
    checksum = sha256_of_file(folder / "model.safetensors")
    reason = no_labels(dataset.classes)
    result: dict[str, Any] = {"reason": reason} if reason else {"epochs": config.epochs}
    if reason is None:
        features = load_features(paths.features(TEACHER), dataset.fingerprint, checksum)
        inputs = classifier_input(features.cls_tokens, features.patch_mean, config.average_pool)
        splits = labelled_splits(inputs, dataset.manifest, dataset.classes)
        result[TEACHER] = plain(
            linear_paper(load_backbone(folder), dataset, splits, config, parameters.features)
        )
    write_json(paths.result("linear_paper"), result)
    write_json(
        paths.provenance("linear_paper"),
        provenance(
            "linear_paper",
            {"linear_paper": config, "features": parameters.features},
            project.root,
            stopwatch,
            data=dataset.fingerprint,
            seed=run.seed,
            models={TEACHER: checksum},
            precision=resolve_precision(parameters.features.precision, best_device()),
        ),
    )
