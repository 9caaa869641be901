"""baselines: score what needs no training: raw pixels, centre box, Otsu's threshold."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from dino.core.artifacts import write_json
from dino.core.paths import Project
from dino.core.provenance import Stopwatch, plain, provenance
from dino.data.dataset import PreparedDataset
from dino.evaluation.baselines import centre_box, otsu, raw_pixel_robustness, raw_pixels
from dino.evaluation.class_map import class_map
from dino.evaluation.knn import knn
from dino.evaluation.linear import linear
from dino.evaluation.low_shot import low_shot
from dino.features.labelled_splits import labelled_splits, no_labels

if TYPE_CHECKING:
    from dino.core.configuration.parameters import Parameters


def execute(project: Project, parameters: "Parameters") -> None:
    """Write results/baselines.json."""
    stopwatch = Stopwatch()
    dataset = PreparedDataset.open(project.data)
    result = {
        "raw_pixels": _raw_pixels(dataset, parameters),
        "centre_box": plain(centre_box(dataset, parameters.attention)),
        "otsu": plain(otsu(dataset, parameters.attention)),
    }
    write_json(project.results / "baselines.json", result)
    write_json(
        project.provenance("baselines"),
        provenance(
            "baselines",
            {
                "knn": parameters.knn,
                "linear": parameters.linear,
                "low_shot": parameters.low_shot,
                "attention": parameters.attention,
                "class_map": parameters.class_map,
                "robustness": parameters.robustness,
            },
            project.root,
            stopwatch,
            data=dataset.fingerprint,
            seed=None,
            precision="float32",
        ),
    )


def _raw_pixels(dataset: PreparedDataset, parameters: "Parameters") -> dict[str, Any]:
    """What classifiers say of the pixels themselves, or why they say nothing."""
    reason = no_labels(dataset.classes)
    if reason:
        return {"reason": reason}
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
    return {
        stage: plain(score())
        for stage, score in scores.items()
        if getattr(getattr(parameters, stage), "enabled", True)
    }
