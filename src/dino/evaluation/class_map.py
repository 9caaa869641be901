"""The arrangement of classes by a teacher: a map of their mean features, and a correlation.

The map is the paper's figure of classes (appendix): class means of the features, PCA, t-SNE. The
paper looks at it; the number here is the rank correlation of the distances between the means with
a stated grouping of the classes into superclasses, 0 within one and 1 between two.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Float64, Int64
from scipy.cluster.hierarchy import linkage
from scipy.spatial.distance import pdist, squareform
from scipy.stats import spearmanr
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

from dino.core.configuration.class_map import ClassMapConfig, superclass_of
from dino.core.errors import DataError
from dino.core.score import Score, bounds, setting
from dino.metrics.intervals import LEVEL

_COORDINATE_DECIMALS = 3
_DISTANCE_DECIMALS = 8
"""Distances are written and compared rounded, so that equal means have equal distances."""
MIN_CLASSES = 4
"""t-SNE needs as many: its perplexity is a third of the other classes and at least 1."""
_RESAMPLES = 500
_NO_LENGTH = 1e-12
"""The length below which a mean of unit vectors is zero but for rounding."""


@dataclass(frozen=True, kw_only=True)
class ClassMapResult:
    """The classes in the order of the data set's."""

    left_out: dict[str, str]
    """Classes whose mean has no direction, and why; all of their numbers are None."""
    distances: tuple[tuple[float, ...] | None, ...]
    """Cosine distances between the means of the classes that are not left out, 0 to 2."""
    linkage: tuple[tuple[float, ...], ...]
    """Average-linkage clustering of the classes that are not left out, rows as scipy's."""
    coordinates: tuple[tuple[float, ...] | None, ...] | None
    """Two coordinates for each class, from t-SNE; None if there are too few classes."""
    coordinates_reason: str | None
    spearman: float | None
    """Rank correlation of the distances with the superclasses, -1 to 1; higher is closer."""
    spearman_highest: float | None
    """The correlation if all distances within superclasses were smaller than those between: below
    1, since the superclasses know two distances only.
    """
    spearman_interval: tuple[float, float] | None
    """Its 95 % percentile bootstrap interval over the images of each class."""
    spearman_reason: str | None
    images: int
    """The number of images that the means are over."""


def class_map(
    features: Float[np.ndarray, "images dim"],
    manifest: pd.DataFrame,
    classes: Sequence[str],
    config: ClassMapConfig,
) -> ClassMapResult:
    """The arrangement of `classes` by the means of their L2-normalised features in one split.

    `features` has one row for each row of `manifest`; images without a label are left out. Raises
    `DataError` for a class without an image, `ConfigurationError` for superclasses of other
    classes than the data set's.
    """
    groups = superclass_of(classes, config.superclasses)
    images = _by_class(features, manifest, classes, config)
    means = np.stack([of_class.mean(axis=0) for of_class in images])
    directed = np.linalg.norm(means, axis=1) > _NO_LENGTH
    left_out = [name for name, has_direction in zip(classes, directed, strict=True)
                if not has_direction]  # fmt: skip
    means = means[directed]
    distances = _distances(means)
    coordinates, coordinates_reason = _layout(means, config)
    reason = _nothing_to_compare(groups, left_out, distances)
    truth = None if reason or groups is None else _between(groups)
    merges = linkage(distances, "average") if len(means) > 1 else np.zeros((0, 4))
    return ClassMapResult(
        left_out=dict.fromkeys(left_out, "the mean of its features is zero"),
        distances=_with_gaps(_rows(squareform(distances), _DISTANCE_DECIMALS), directed),
        linkage=_rows(merges, _DISTANCE_DECIMALS),
        coordinates=None
        if coordinates is None
        else _with_gaps(_rows(coordinates, _COORDINATE_DECIMALS), directed),
        coordinates_reason=coordinates_reason,
        spearman=None if truth is None else _correlation(distances, truth),
        spearman_highest=None if truth is None else _highest(truth),
        spearman_interval=None if truth is None else _interval(images, truth, config.seed),
        spearman_reason=reason,
        images=sum(map(len, images)),
    )


def class_map_scores(model: str, result: ClassMapResult, config: ClassMapConfig) -> list[Score]:
    """The rank correlation with the superclasses, and the highest that there can be."""
    of_split = setting(split=config.split)
    return [
        Score(
            model=model,
            setting=of_split,
            metric="spearman",
            value=result.spearman,
            n=result.images,
            unit="",
            key="class_map_spearman",
            **bounds(result.spearman_interval),
        ),
        Score(
            model=model,
            setting=of_split,
            metric="spearman_highest",
            value=result.spearman_highest,
            unit="",
        ),
    ]


def class_map_details(result: ClassMapResult) -> dict[str, Any]:
    """What `result` holds besides its scores: distances, clustering and coordinates."""
    return {
        field.name: getattr(result, field.name)
        for field in fields(result)
        if field.name not in ("spearman", "spearman_highest", "spearman_interval", "images")
    }


def _by_class(
    features: Float[np.ndarray, "images dim"],
    manifest: pd.DataFrame,
    classes: Sequence[str],
    config: ClassMapConfig,
) -> list[Float64[np.ndarray, "_images dim"]]:
    """The L2-normalised features of each class."""
    labels = manifest["label"].to_numpy(dtype=np.int64)
    of_split = manifest["split"].to_numpy() == config.split
    images = []
    for label, name in enumerate(classes):
        chosen = features[of_split & (labels == label)].astype(np.float64)
        if len(chosen) == 0:
            raise DataError(
                f"manifest.parquet: expected an image of every class in {config.split}, got none "
                f"of {name}; correct class_map.split in params.yaml, or the data"
            )
        norms = np.linalg.norm(chosen, axis=1, keepdims=True)
        # a feature of zeros, such as a black image's pixels, has no direction
        images.append(chosen / np.where(norms == 0, 1, norms))
    return images


def _layout(
    means: Float64[np.ndarray, "classes dim"], config: ClassMapConfig
) -> tuple[Float64[np.ndarray, "classes 2"] | None, str | None]:
    """Coordinates by PCA and t-SNE, or None and the reason."""
    count = len(means)
    if count < MIN_CLASSES:
        return None, f"a map needs at least {MIN_CLASSES} classes, the data set has {count}"
    if np.linalg.matrix_rank(means - means.mean(axis=0)) < 2:
        return None, "the class means lie on a line"
    components = min(config.components, count - 1, means.shape[1])
    reduced = PCA(components, svd_solver="full").fit_transform(means)
    placed = TSNE(
        perplexity=min(config.perplexity, (count - 1) / 3),
        init="pca",
        method="exact",
        random_state=config.seed,
    ).fit_transform(reduced)
    return placed.astype(np.float64), None


def _distances(means: Float64[np.ndarray, "classes dim"]) -> Float64[np.ndarray, " pairs"]:
    return pdist(means, "cosine").round(_DISTANCE_DECIMALS)


def _nothing_to_compare(
    groups: Sequence[str] | None,
    left_out: Sequence[str],
    distances: Float64[np.ndarray, " pairs"],
) -> str | None:
    """Why there is no rank correlation; None where there is."""
    if groups is None:
        return "class_map.superclasses is null"
    if left_out:
        return f"the mean of the features is zero in {', '.join(left_out)}"
    if len(set(_between(groups).tolist())) < 2:
        return "the superclasses do not tell any two pairs of classes apart"
    return "all class means are equally far apart" if np.ptp(distances) == 0 else None


def _between(groups: Sequence[str]) -> Int64[np.ndarray, " pairs"]:
    """For each pair of classes 0 in one superclass, 1 in two, in the order of `pdist`."""
    names = np.array(groups)
    first, second = np.triu_indices(len(names), k=1)
    return (names[first] != names[second]).astype(np.int64)


def _correlation(
    distances: Float64[np.ndarray, " pairs"], truth: Int64[np.ndarray, " pairs"]
) -> float:
    """NaN where all distances are equal, or one is unknown."""
    if np.ptp(distances) == 0 or np.isnan(distances).any():
        return float("nan")
    return float(spearmanr(distances, truth).statistic)


def _highest(truth: Int64[np.ndarray, " pairs"]) -> float:
    return _correlation(np.arange(len(truth), dtype=np.float64), np.sort(truth))


def _interval(
    images: Sequence[Float64[np.ndarray, "_images dim"]],
    truth: Int64[np.ndarray, " pairs"],
    seed: int,
) -> tuple[float, float] | None:
    """Each class draws as many of its images as it has; None where one has a single image.

    Draws that have no correlation, since a mean is zero or all distances are equal, do not count.
    """
    if min(len(of_class) for of_class in images) < 2:
        return None
    generator = np.random.default_rng(seed)
    means = np.empty((_RESAMPLES, len(images), images[0].shape[1]))
    for label, of_class in enumerate(images):
        count = len(of_class)
        # how often each image is drawn, rather than the images drawn: one product instead of copies
        drawn = generator.multinomial(count, np.full(count, 1 / count), size=_RESAMPLES)
        means[:, label] = drawn @ of_class / count
    values = np.array([_correlation(_distances(resample), truth) for resample in means])
    values = values[~np.isnan(values)]
    if len(values) == 0:
        return None
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def _with_gaps(
    rows: tuple[tuple[float, ...], ...], present: Bool[np.ndarray, " classes"]
) -> tuple[tuple[float, ...] | None, ...]:
    """A row for each class: the next of `rows` where it is present, else None."""
    remaining = iter(rows)
    return tuple(next(remaining) if there else None for there in present)


def _rows(
    matrix: Float64[np.ndarray, "rows columns"], decimals: int
) -> tuple[tuple[float, ...], ...]:
    # + 0: no -0.0
    return tuple(tuple(row) for row in (matrix.round(decimals) + 0).tolist())
