"""Low-shot classification: logistic regression on the features of a share of the training images.

The paper names no details and the reference has no code for it. Here features are standardised
with mean and deviation of the drawn images, weights have an L2 penalty of fixed strength, and each
share is drawn several times, every class in proportion and with at least one image.
"""

import warnings
from dataclasses import dataclass
from statistics import fmean, stdev

import numpy as np
from jaxtyping import Float, Int64
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from dino.core.configuration.low_shot import LowShotConfig
from dino.core.errors import ConfigurationError
from dino.core.score import DEVIATION, Score, bounds, setting
from dino.core.seeding import Purpose, stream
from dino.features.labelled_splits import LabelledSplits
from dino.metrics.accuracy import rank_of_label, top_k_accuracy
from dino.metrics.intervals import share_interval


@dataclass(frozen=True, kw_only=True)
class LowShotDraw:
    """A classifier of one draw of training images; percentages of test images."""

    images: int
    """The number of training images that were drawn."""
    test_top1: float
    test_top1_interval: tuple[float, float] | None
    """95 % bootstrap interval over the test images, for these training images."""


@dataclass(frozen=True, kw_only=True)
class LowShotShare:
    """The accuracies of several draws of one share of the training images."""

    fraction: float
    test_top1: float
    """Mean over the draws, in percent."""
    test_top1_interval: tuple[float, float] | None
    """95 % bootstrap interval over the test images at the mean."""
    deviation: float | None
    """Standard deviation over the draws (n - 1), in points; None for one draw."""
    draws: tuple[LowShotDraw, ...]


@dataclass(frozen=True, kw_only=True)
class LowShotResult:
    """One entry a share, in the order of the parameters."""

    shares: tuple[LowShotShare, ...]


def low_shot(splits: LabelledSplits, config: LowShotConfig) -> LowShotResult:
    """The accuracy on test of classifiers trained on shares of train; val is not used.

    Draw d of a share has the same images whatever the features are. Raises `ConfigurationError`
    when the solver does not converge.
    """
    return LowShotResult(shares=tuple(_share(splits, f, config) for f in config.fractions))


def low_shot_scores(model: str, result: LowShotResult, images: int) -> list[Score]:
    """The accuracies on `images` test images: their mean over the draws, and that of each draw."""
    scores = []
    for share in result.shares:
        labels = labels_of(share.fraction)
        key = f"low_shot_{100 * share.fraction:g}_top1".replace(".", "_", 1)
        of_share = setting(labels=labels)
        scores += [
            Score(
                model=model,
                setting=of_share,
                metric="top1",
                value=share.test_top1,
                n=images,
                key=key,
                **bounds(share.test_top1_interval),
            ),
            Score(
                model=model,
                setting=of_share,
                metric=DEVIATION,
                value=share.deviation,
                n=len(share.draws),
                unit="points",
                key=f"{key}_{DEVIATION}",
            ),
        ]
        scores += [
            Score(
                model=model,
                setting=setting(labels=labels, draw=number),
                metric="top1",
                value=draw.test_top1,
                n=images,
                **bounds(draw.test_top1_interval),
            )
            for number, draw in enumerate(share.draws)
        ]
    return scores


def drawn_counts(result: LowShotResult) -> dict[str, list[int]]:
    """The number of training images of each draw, by the share of the labels."""
    return {
        labels_of(share.fraction): [draw.images for draw in share.draws] for share in result.shares
    }


def labels_of(fraction: float) -> str:
    """A share of the labels, as the settings of scores have it: 1%."""
    return f"{100 * fraction:g}%"


def _share(splits: LabelledSplits, fraction: float, config: LowShotConfig) -> LowShotShare:
    labels = splits.train.labels.numpy()
    draws = []
    for draw in range(config.draws):
        chosen = drawn_images(labels, fraction, config.seed, draw)
        draws.append(_draw(splits, chosen, config))
    scores = [draw.test_top1 for draw in draws]
    mean = fmean(scores)
    return LowShotShare(
        fraction=fraction,
        test_top1=mean,
        test_top1_interval=share_interval(mean, len(splits.test.labels)),
        deviation=stdev(scores) if len(scores) > 1 else None,
        draws=tuple(draws),
    )


def drawn_images(
    labels: Int64[np.ndarray, " images"], fraction: float, seed: int, draw: int
) -> Int64[np.ndarray, " drawn"]:
    """Indices of `fraction` of the images of every class, at least one of each, in order."""
    rng = stream(Purpose.LOW_SHOT_DRAW, seed, draw)
    chosen = []
    for label in np.unique(labels):
        images = rng.permutation(np.flatnonzero(labels == label))
        chosen.append(images[: max(1, round(fraction * len(images)))])
    return np.sort(np.concatenate(chosen)).astype(np.int64)


def _draw(
    splits: LabelledSplits, chosen: Int64[np.ndarray, " drawn"], config: LowShotConfig
) -> LowShotDraw:
    features, labels = splits.train.features.numpy()[chosen], splits.train.labels.numpy()[chosen]
    truth = splits.test.labels.numpy()
    ranks = np.where(truth == labels[0], 0, 1)
    # of one class alone nothing has to be learnt
    if splits.classes > 1:
        classifier = _fitted(features, labels, config)
        scores = classifier.decision_function(splits.test.features.numpy())
        if scores.ndim == 1:
            scores = np.stack([-scores, scores], axis=1)
        ranks = rank_of_label(scores.astype(np.float64), truth)
    top1 = top_k_accuracy(ranks, 1)
    return LowShotDraw(
        images=len(chosen), test_top1=top1, test_top1_interval=share_interval(top1, len(truth))
    )


def _fitted(
    features: Float[np.ndarray, "drawn dim"],
    labels: Int64[np.ndarray, " drawn"],
    config: LowShotConfig,
) -> Pipeline:
    classifier = make_pipeline(
        StandardScaler(),
        LogisticRegression(C=config.inverse_penalty, max_iter=config.max_iterations),
    )
    # products this small are slower on several threads, and sums then depend on how many there are
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        try:
            return classifier.fit(features, labels)
        except ConvergenceWarning:
            raise ConfigurationError(
                f"low_shot.max_iterations: {config.max_iterations} are too few for logistic "
                "regression to converge on these features; raise it, or lower inverse_penalty"
            ) from None
