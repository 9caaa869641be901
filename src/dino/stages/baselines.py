"""baselines: score what needs no training: raw pixels, centre box, Otsu's threshold."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from dino.core.paths import RAW_PIXELS, Project
from dino.core.provenance import Stopwatch, plain
from dino.core.score import Score
from dino.data.dataset import PreparedDataset
from dino.evaluation.baselines import (
    centre_box,
    mask_details,
    mask_scores,
    otsu,
    raw_pixel_robustness,
    raw_pixels,
)
from dino.evaluation.class_map import class_map, class_map_details, class_map_scores
from dino.evaluation.corrupted_images import CorruptedImages, robustness_scores
from dino.evaluation.knn import knn, knn_scores
from dino.evaluation.linear import linear
from dino.evaluation.low_shot import low_shot, low_shot_scores
from dino.evaluation.masked_images import scored_images
from dino.evaluation.trained_classifier import trained_classifier_details, trained_classifier_scores
from dino.features.labelled_splits import labelled_splits
from dino.stages.saving import NO_LABELS, save_provenance, save_result

if TYPE_CHECKING:
    from dino.core.configuration.parameters import Parameters

SCORED_AS = ("knn", "linear", "low_shot", "attention", "class_map", "robustness")
"""The evaluations that baselines are scored by."""
Found = tuple[list[Score], Any]
"""The scores of one evaluation, and what stands beside them; None: nothing."""


def execute(project: Project, parameters: "Parameters") -> None:
    """Write results/baselines.json: rows as the evaluations have them, each with its evaluation."""
    stopwatch = Stopwatch()
    dataset = PreparedDataset.open(project.data(parameters.trained_on))
    found = _raw_pixels(dataset, parameters)
    rows = [_row(stage, score) for stage, (scores, _) in found.items() for score in scores]
    details: dict[str, Any] = {
        RAW_PIXELS: {stage: about for stage, (_, about) in found.items() if about is not None}
        if dataset.classes
        else {"reason": NO_LABELS}
    }
    images = len(scored_images(dataset, parameters.attention))
    for name, baseline in (("centre_box", centre_box), ("otsu", otsu)):
        result = baseline(dataset, parameters.attention)
        rows += [_row("attention", score) for score in mask_scores(name, result, images)]
        details[name] = mask_details(result)
    save_result(project, "baselines", None, rows, details)
    save_provenance(
        project,
        "baselines",
        None,
        stopwatch,
        {name: getattr(parameters, name) for name in SCORED_AS},
        data=dataset.fingerprint,
        precision="float32",
    )


def _row(evaluation: str, score: Score) -> dict[str, Any]:
    return {"evaluation": evaluation, **plain(score)}


def _raw_pixels(dataset: PreparedDataset, parameters: "Parameters") -> dict[str, Found]:
    """The scores of raw pixels in the evaluations that are on; none without labels."""
    if not dataset.classes:
        return {}
    pixels = raw_pixels(dataset)
    splits = labelled_splits(pixels, dataset.manifest, dataset.classes)

    def of_knn() -> Found:
        found = knn(splits, parameters.knn)
        return knn_scores(RAW_PIXELS, found, splits, parameters.knn), None

    def of_linear() -> Found:
        found = linear(splits, parameters.linear)
        scores = trained_classifier_scores("linear", RAW_PIXELS, found, splits.images)
        return scores, trained_classifier_details(found)

    def of_low_shot() -> Found:
        found = low_shot(splits, parameters.low_shot)
        return low_shot_scores(RAW_PIXELS, found, splits.images["test"]), None

    def of_class_map() -> Found:
        config = parameters.class_map
        found = class_map(pixels.numpy(), dataset.manifest, dataset.classes, config)
        return class_map_scores(RAW_PIXELS, found, config), class_map_details(found)

    def of_robustness() -> Found:
        images = CorruptedImages(dataset, parameters.robustness)
        found = raw_pixel_robustness(pixels, images, parameters.robustness)
        return robustness_scores(RAW_PIXELS, found, len(images.indices)), None

    scored: dict[str, Callable[[], Found]] = {
        "knn": of_knn,
        "linear": of_linear,
        "low_shot": of_low_shot,
        "class_map": of_class_map,
        "robustness": of_robustness,
    }
    return {stage: score() for stage, score in scored.items() if parameters.enabled(stage)}
