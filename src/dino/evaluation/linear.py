"""Linear classification of frozen features: the reference's protocol, on features kept in memory.

The reference draws a new random crop of each training image in each epoch; here the features of
the central crop are computed once, so that an epoch costs a matrix product, for one learning rate
or for many. Everything else (optimizer, schedule, batch arithmetic, initial weights) is the
reference's. `linear_paper` draws the crops.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn
from tqdm import tqdm

from dino.core.configuration.linear import LinearConfig
from dino.core.errors import ConfigurationError
from dino.core.precision import best_device
from dino.core.progress import title
from dino.features.labelled_splits import LabelledFeatures, LabelledSplits
from dino.metrics.accuracy import rank_of_label, top_k_accuracy
from dino.metrics.intervals import share_interval


@dataclass(frozen=True, kw_only=True)
class Validation:
    """A classifier's scores on one split."""

    loss: float
    """Cross-entropy, the mean over batches of their means (as the reference)."""
    top1: float
    """The percentage of images; so is `top5`."""
    top5: float


@dataclass(frozen=True, kw_only=True)
class LinearEpoch:
    """One point of the learning curve."""

    epoch: int
    """From 1."""
    train_loss: float | None
    """Mean over the epoch's batches, each before its own step; None where it overflowed."""
    val_loss: float | None
    val_top1: float


@dataclass(frozen=True, kw_only=True)
class LinearAccuracy:
    """The classifier as it was after `epoch`; percentages of images."""

    epoch: int
    val_top1: float
    test_top1: float
    test_top1_interval: tuple[float, float] | None
    """95 % bootstrap interval over the test images."""
    test_top5: float
    test_top5_interval: tuple[float, float] | None


@dataclass(frozen=True, kw_only=True)
class RateAccuracy:
    """The scores of one learning rate after the last epoch, in percent; val chooses among them."""

    learning_rate: float
    val_top1: float


@dataclass(frozen=True, kw_only=True)
class LinearResult:
    """Two classifiers of one training, and its curve; the learning rate is the best on val."""

    learning_rate: float
    """For a batch of 256: of those asked for, the (first) one that is best on val at the end."""
    last: LinearAccuracy
    """After the last epoch: what the tables report."""
    best_on_val: LinearAccuracy
    """After the (first) epoch that is best on val."""
    curve: tuple[LinearEpoch, ...]
    learning_rates: tuple[RateAccuracy, ...]


class LinearTraining:
    """One classifier for each learning rate, trained at once on the same batches.

    SGD with momentum 0.9 and no weight decay; a learning rate starts at its value × `batch_size` /
    256 and falls by a cosine per epoch to 0 after `epochs`. All classifiers start as `initial`,
    and one product with the features serves them all.
    """

    def __init__(
        self,
        initial: nn.Linear,
        *,
        learning_rates: Sequence[float],
        batch_size: int,
        epochs: int,
    ) -> None:
        self.learning_rates = tuple(learning_rates)
        self.batch_size = batch_size
        self.epochs = epochs
        self._epoch = 0
        # the bias is the last column, of a feature that is always 1
        start = torch.cat([initial.weight, initial.bias[:, None]], dim=1).detach()
        self._weights = start.repeat(len(self.learning_rates), 1, 1)
        self._momentum = torch.zeros_like(self._weights)

    @property
    def current_learning_rates(self) -> list[float]:
        """The learning rates of the next step."""
        decay = (1 + math.cos(math.pi * self._epoch / self.epochs)) / 2
        return [rate * self.batch_size / 256 * decay for rate in self.learning_rates]

    @torch.no_grad()
    def step(
        self, features: Float[Tensor, "batch dim"], labels: Int64[Tensor, " batch"]
    ) -> Float[Tensor, " rates"]:
        """The batch's cross-entropy before the step that it causes, for each learning rate."""
        inputs = F.pad(features, (0, 1), value=1.0)
        rates, classes, dim = self._weights.shape
        logits = (inputs @ self._weights.view(-1, dim).T).view(-1, rates, classes)
        log_shares = logits.log_softmax(dim=2)
        own = labels[:, None, None].expand(-1, rates, 1)
        losses = -log_shares.gather(2, own).squeeze(2).mean(dim=0)
        # the gradient of the cross-entropy: softmax less 1 at the label
        errors = log_shares.exp_()
        errors.scatter_add_(2, own, errors.new_full((), -1.0).expand(own.shape))
        gradient = (errors.view(-1, rates * classes).T @ inputs).view(self._weights.shape)
        self._momentum.mul_(0.9).add_(gradient, alpha=1 / len(labels))
        steps = self._weights.new_tensor(self.current_learning_rates)[:, None, None]
        self._weights.sub_(steps * self._momentum)
        return losses

    def end_epoch(self) -> None:
        """Lower the learning rates."""
        self._epoch += 1

    def classifier(self, rate: int) -> nn.Linear:
        """A copy of the classifier of learning rate number `rate` as it is now."""
        weights = self._weights[rate]
        copy = nn.Linear(weights.shape[1] - 1, weights.shape[0], device=weights.device)
        copy.load_state_dict({"weight": weights[:, :-1], "bias": weights[:, -1]})
        return copy


def linear(splits: LabelledSplits, config: LinearConfig) -> LinearResult:
    """The accuracy of a classifier trained on train; test is looked at once, after training.

    Every training image is used in every epoch, so an epoch's last batch may be smaller.
    """
    splits = splits.to(best_device())
    train = splits.train
    generator = torch.Generator().manual_seed(config.seed)
    classifier = initial_classifier(train.features.shape[1], splits.classes, generator)

    def batches(epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        order = torch.randperm(len(train.labels), generator=generator)
        for batch in order.to(train.labels.device).split(config.batch_size):
            yield train.features[batch], train.labels[batch]

    return trained(
        LinearTraining(
            classifier.to(train.features.device),
            learning_rates=config.learning_rates,
            batch_size=config.batch_size,
            epochs=config.epochs,
        ),
        batches,
        val=splits.val,
        test=splits.test,
    )


def trained(
    training: LinearTraining,
    batches: Callable[[int], Iterable[tuple[Tensor, Tensor]]],
    *,
    val: LabelledFeatures,
    test: LabelledFeatures,
) -> LinearResult:
    """The result of a training on `batches(epoch)`: features and labels; epochs count from 1."""
    curves: list[list[LinearEpoch]] = [[] for _ in training.learning_rates]
    best: list[tuple[LinearEpoch, nn.Linear]] = []
    for epoch in tqdm(range(1, training.epochs + 1), desc=title("linear"), unit="epoch"):
        losses = [training.step(features, labels) for features, labels in batches(epoch)]
        training.end_epoch()
        train_losses = torch.stack(losses).double().mean(dim=0).tolist()
        for rate, curve in enumerate(curves):
            classifier = training.classifier(rate)
            scores = validate(classifier, val, training.batch_size)
            point = LinearEpoch(
                epoch=epoch,
                train_loss=_finite(train_losses[rate]),
                val_loss=_finite(scores.loss),
                val_top1=scores.top1,
            )
            curve.append(point)
            if epoch == 1:
                best.append((point, classifier))
            elif point.val_top1 > best[rate][0].val_top1:
                best[rate] = point, classifier
    lasts = [curve[-1].val_top1 for curve in curves]
    chosen = lasts.index(max(lasts))
    return LinearResult(
        learning_rate=training.learning_rates[chosen],
        last=_accuracy(training.classifier(chosen), curves[chosen][-1], test, training.batch_size),
        best_on_val=_accuracy(best[chosen][1], best[chosen][0], test, training.batch_size),
        curve=tuple(curves[chosen]),
        learning_rates=tuple(
            RateAccuracy(learning_rate=rate, val_top1=top1)
            for rate, top1 in zip(training.learning_rates, lasts, strict=True)
        ),
    )


def _accuracy(
    classifier: nn.Linear, point: LinearEpoch, test: LabelledFeatures, batch_size: int
) -> LinearAccuracy:
    scores = validate(classifier, test, batch_size)
    return LinearAccuracy(
        epoch=point.epoch,
        val_top1=point.val_top1,
        test_top1=scores.top1,
        test_top1_interval=share_interval(scores.top1, len(test.labels)),
        test_top5=scores.top5,
        test_top5_interval=share_interval(scores.top5, len(test.labels)),
    )


def _finite(loss: float) -> float | None:
    """`loss`, or None where the learning rate was so high that it is no number."""
    return loss if math.isfinite(loss) else None


def initial_classifier(dim: int, classes: int, generator: torch.Generator) -> nn.Linear:
    """A linear layer with weights of a normal distribution of 0.01 and zero biases."""
    classifier = nn.Linear(dim, classes)
    nn.init.normal_(classifier.weight, std=0.01, generator=generator)
    nn.init.zeros_(classifier.bias)
    return classifier


@torch.no_grad()
def validate(
    classifier: nn.Linear, split: LabelledFeatures, batch_size: int | Sequence[int]
) -> Validation:
    """The scores on `split` in batches of `batch_size` (one size, or that of each batch)."""
    sizes = batch_size if isinstance(batch_size, int) else list(batch_size)
    logits = classifier(split.features)
    batches = zip(logits.split(sizes), split.labels.split(sizes), strict=True)
    losses = torch.stack([F.cross_entropy(batch, labels) for batch, labels in batches])
    # a classifier that overflowed knows no class; NaN would compare as if it knew every image's
    known = logits.nan_to_num(nan=-math.inf, posinf=math.inf, neginf=-math.inf)
    ranks = rank_of_label(known.cpu().numpy(), split.labels.cpu().numpy())
    return Validation(
        loss=losses.double().mean().item(),
        top1=top_k_accuracy(ranks, 1),
        top5=top_k_accuracy(ranks, 5),
    )


def classifier_input(
    cls_tokens: Float[Tensor, "images blocks dim"],
    patch_mean: Float[Tensor, "images channels"],
    average_pool: bool,
) -> Float[Tensor, "images features"]:
    """The classifier's input: the [CLS] tokens one after the other, the earliest block first.

    With `average_pool` the single [CLS] token and the mean patch token, interleaved number by
    number as the reference does it (a permutation of features, which training ignores).
    """
    if not average_pool:
        return cls_tokens.flatten(1)
    if cls_tokens.shape[1] != 1:
        raise ConfigurationError(
            "linear.average_pool: expected features.last_blocks 1 (the paper's protocol for "
            f"ViT-B), got {cls_tokens.shape[1]}"
        )
    if cls_tokens.shape[-1] != patch_mean.shape[-1]:
        # of a convnet with a wide layer after its last feature map
        return torch.cat([cls_tokens[:, 0], patch_mean], dim=1)
    return torch.stack([cls_tokens[:, 0], patch_mean], dim=-1).flatten(1)
