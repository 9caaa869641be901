"""knn: classify the images of val and test by their nearest training features."""

from typing import TYPE_CHECKING, Any

from dino.core.artifacts import read_json, write_json
from dino.core.paths import MODELS, Project
from dino.core.provenance import Stopwatch, plain, provenance
from dino.data.dataset import DESCRIPTION, read_manifest
from dino.evaluation.knn import knn
from dino.features.feature_set import load_features
from dino.features.labelled_splits import labelled_splits

if TYPE_CHECKING:
    from dino.core.configuration.parameters import Parameters, Run


def execute(project: Project, parameters: "Parameters", run: "Run") -> None:
    """Write results/RUN/knn.json."""
    stopwatch = Stopwatch()
    paths, config = project.run(run.name), parameters.knn
    manifest = read_manifest(project.data)
    description = read_json(project.data / DESCRIPTION)
    result: dict[str, Any] = {"headline": config.headline, "temperature": config.temperature}
    checksums = {}
    for model in MODELS:
        features = load_features(paths.features(model), data=description["fingerprint"])
        cls_tokens = features.cls_tokens[:, -1]
        splits = labelled_splits(cls_tokens, manifest, tuple(description["classes"]))
        result[model] = plain(knn(splits, config))
        checksums[model] = features.model
    write_json(paths.result("knn"), result)
    write_json(
        paths.provenance("knn"),
        provenance(
            "knn",
            {"knn": config},
            project.root,
            stopwatch,
            data=description["fingerprint"],
            models=checksums,
        ),
    )
