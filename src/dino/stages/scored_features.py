"""What the stages that score a run's features have in common: loading, and saving."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from jaxtyping import Float
from torch import Tensor

from dino.core.artifacts import read_json, write_json
from dino.core.paths import MODELS, Project
from dino.core.provenance import Stopwatch, plain, provenance
from dino.data.dataset import DESCRIPTION, read_manifest
from dino.features.feature_set import FeatureSet, load_features
from dino.features.labelled_splits import LabelledSplits, labelled_splits, no_labels

if TYPE_CHECKING:
    from dino.core.configuration.parameters import Run


def last_cls_token(features: FeatureSet) -> Float[Tensor, "images dim"]:
    """The [CLS] token of the last block."""
    return features.cls_tokens[:, -1]


def score_features(
    project: Project,
    run: "Run",
    stage: str,
    config: Any,
    header: dict[str, Any],
    inputs: Callable[[FeatureSet], Float[Tensor, "images dim"]],
    score: Callable[[LabelledSplits], Any],
) -> None:
    """Write results/RUN/STAGE.json: `header`, then for each of MODELS the `score` of `inputs`.

    Of a data set without labels it holds the reason alone.
    """
    stopwatch = Stopwatch()
    paths = project.run(run.name)
    manifest = read_manifest(project.data)
    description = read_json(project.data / DESCRIPTION)
    fingerprint, classes = description["fingerprint"], tuple(description["classes"])
    checksums = {}
    reason = no_labels(classes)
    result: dict[str, Any] = {"reason": reason} if reason else dict(header)
    if reason is None:
        for model in MODELS:
            features = load_features(paths.features(model), data=fingerprint)
            splits = labelled_splits(inputs(features), manifest, classes)
            result[model] = plain(score(splits))
            checksums[model] = features.model
    write_json(paths.result(stage), result)
    write_json(
        paths.provenance(stage),
        provenance(
            stage,
            {stage: config},
            project.root,
            stopwatch,
            data=fingerprint,
            seed=run.seed,
            precision="float32",
            models=checksums,
        ),
    )
