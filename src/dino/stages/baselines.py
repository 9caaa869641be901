"""baselines: score what needs no training: raw pixels, centre box, Otsu's threshold."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from dino.core.paths import Project
from dino.core.provenance import Stopwatch, plain
from dino.data.dataset import PreparedDataset
from dino.evaluation.baselines import centre_box, otsu, raw_pixel_robustness, raw_pixels
from dino.evaluation.class_map import class_map
from dino.evaluation.knn import knn
from dino.evaluation.linear import linear
from dino.evaluation.low_shot import low_shot
from dino.features.labelled_splits import labelled_splits
from dino.stages.saving import NO_LABELS, save_provenance, save_result

if TYPE_CHECKING:
    from dino.core.configuration.parameters import Parameters

SCORED_AS = ("knn", "linear", "low_shot", "attention", "class_map", "robustness")
"""The evaluations that baselines are scored by."""


def execute(project: Project, parameters: "Parameters") -> None:
    """Write results/baselines.json."""
    stopwatch = Stopwatch()
    dataset = PreparedDataset.open(project.data(parameters.trained_on))
    result = {
        "raw_pixels": _raw_pixels(dataset, parameters),
        "centre_box": plain(centre_box(dataset, parameters.attention)),
        "otsu": plain(otsu(dataset, parameters.attention)),
    }
    save_result(project, "baselines", None, result)
    save_provenance(
        project,
        "baselines",
        None,
        stopwatch,
        {name: getattr(parameters, name) for name in SCORED_AS},
        data=dataset.fingerprint,
        precision="float32",
    )


def _raw_pixels(dataset: PreparedDataset, parameters: "Parameters") -> dict[str, Any]:
    """What classifiers say of the pixels themselves, or why they say nothing."""
    if not dataset.classes:
        return {"reason": NO_LABELS}
    pixels = raw_pixels(dataset)
    splits = labelled_splits(pixels, dataset.manifest, dataset.classes)
    scores: dict[str, Callable[[], Any]] = {
        "knn": lambda: knn(splits, parameters.knn),
        "linear": lambda: linear(splits, parameters.linear),
        "low_shot": lambda: low_shot(splits, parameters.low_shot),
        "class_map": lambda: class_map(
            pixels.numpy(), dataset.manifest, dataset.classes, parameters.class_map
        ),
        "robustness": lambda: raw_pixel_robustness(pixels, dataset, parameters.robustness),
    }
    return {stage: plain(score()) for stage, score in scores.items() if parameters.enabled(stage)}
