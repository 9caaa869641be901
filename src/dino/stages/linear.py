"""linear: train a linear classifier on the frozen features."""

from typing import TYPE_CHECKING, Any

from dino.core.artifacts import read_json, write_json
from dino.core.paths import MODELS, Project
from dino.core.provenance import Stopwatch, plain, provenance
from dino.data.dataset import DESCRIPTION, read_manifest
from dino.evaluation.linear import classifier_input, linear
from dino.features.feature_set import load_features
from dino.features.labelled_splits import labelled_splits

if TYPE_CHECKING:
    from dino.core.configuration.parameters import Parameters, Run


def execute(project: Project, parameters: "Parameters", run: "Run") -> None:
    """Write results/RUN/linear.json."""
    stopwatch = Stopwatch()
    paths, config = project.run(run.name), parameters.linear
    manifest = read_manifest(project.data)
    description = read_json(project.data / DESCRIPTION)
    result: dict[str, Any] = {"epochs": config.epochs}
    checksums = {}
    for model in MODELS:
        features = load_features(paths.features(model), data=description["fingerprint"])
        inputs = classifier_input(features.cls_tokens, features.patch_mean, config.average_pool)
        splits = labelled_splits(inputs, manifest, tuple(description["classes"]))
        result[model] = plain(linear(splits, config))
        checksums[model] = features.model
    write_json(paths.result("linear"), result)
    write_json(
        paths.provenance("linear"),
        provenance(
            "linear",
            {"linear": config},
            project.root,
            stopwatch,
            data=description["fingerprint"],
            models=checksums,
            seed=config.seed,
        ),
    )
