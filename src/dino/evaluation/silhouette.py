"""The silhouette of the classes: whether an image lies nearer to its own class than to another."""

import numpy as np
from jaxtyping import Float
from sklearn.metrics import silhouette_samples

from dino.core.score import Score, bounds, setting
from dino.features.labelled_splits import LabelledFeatures
from dino.metrics.intervals import mean_interval


def silhouettes(images: LabelledFeatures) -> Float[np.ndarray, " images"] | None:
    """The silhouette of each image, -1 to 1 (Rousseeuw 1987), in cosine distance.

    It is (b - a) / max(a, b): a is the mean distance to the other images of the class, b that to
    the images of the nearest other class. An image alone in its class has 0. None where there are
    fewer than two classes, or no class has two images.
    """
    classes = len(images.labels.unique())
    if not 2 <= classes < len(images.labels):
        return None
    features, labels = images.features.cpu().numpy(), images.labels.cpu().numpy()
    values: Float[np.ndarray, " images"] = silhouette_samples(features, labels, metric="cosine")
    return values


def silhouette_scores(model: str, images: LabelledFeatures, split: str) -> list[Score]:
    """The mean silhouette of the images of `split`, with its interval over them."""
    values = silhouettes(images)
    return [
        Score(
            model=model,
            setting=setting(split=split),
            metric="silhouette",
            value=None if values is None else float(values.mean()),
            n=len(images.labels),
            unit="",
            key="silhouette",
            **bounds(None if values is None else mean_interval(values)),
        )
    ]
