"""class_map: arrange the classes by their mean features, and compare with superclasses."""

from typing import TYPE_CHECKING, Any

from dino.core.artifacts import read_json, write_json
from dino.core.configuration.class_map import superclass_of
from dino.core.paths import MODELS, Project
from dino.core.provenance import Stopwatch, plain, provenance
from dino.data.dataset import DESCRIPTION, read_manifest
from dino.evaluation.class_map import class_map
from dino.features.feature_set import load_features
from dino.features.labelled_splits import no_labels

if TYPE_CHECKING:
    from dino.core.configuration.parameters import Parameters, Run


def execute(project: Project, parameters: "Parameters", run: "Run") -> None:
    """Write results/RUN/class_map.json."""
    stopwatch = Stopwatch()
    paths, config = project.run(run.name), parameters.class_map
    manifest = read_manifest(project.data)
    description = read_json(project.data / DESCRIPTION)
    classes, reason = description["classes"], no_labels(description["classes"])
    result: dict[str, Any] = {"reason": reason}
    checksums = {}
    if reason is None:
        result = {
            "split": config.split,
            "classes": classes,
            "superclass_of": plain(superclass_of(classes, config.superclasses)),
        }
        for model in MODELS:
            features = load_features(paths.features(model), data=description["fingerprint"])
            cls_tokens = features.cls_tokens[:, -1].numpy()
            result[model] = plain(class_map(cls_tokens, manifest, classes, config))
            checksums[model] = features.model
    write_json(paths.result("class_map"), result)
    write_json(
        paths.provenance("class_map"),
        provenance(
            "class_map",
            {"class_map": config},
            project.root,
            stopwatch,
            data=description["fingerprint"],
            models=checksums,
            seed=run.seed,
            precision="float32",
        ),
    )
