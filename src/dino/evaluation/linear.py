"""Linear classification of frozen features: the reference's protocol, on features kept in memory.

The reference draws a new random crop of each training image in each epoch; here the features of
the central crop are computed once, so that an epoch costs a matrix product. Everything else
(optimizer, schedule, batch arithmetic, initial weights) is the reference's.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn
from tqdm import tqdm

from dino.core.configuration.linear import LinearConfig
from dino.core.errors import ConfigurationError
from dino.core.precision import best_device
from dino.features.labelled_splits import LabelledFeatures, LabelledSplits
from dino.metrics.accuracy import rank_of_label, top_k_accuracy


@dataclass(frozen=True, kw_only=True)
class Validation:
    """A classifier's scores on one split."""

    loss: float
    """Cross-entropy, the mean over batches of their means (as the reference)."""
    top1: float
    """In percent."""
    top5: float


@dataclass(frozen=True, kw_only=True)
class LinearEpoch:
    """One point of the learning curve."""

    epoch: int
    """From 1."""
    train_loss: float
    """Mean over the epoch's batches, each before its own step."""
    val_loss: float
    val_top1: float


@dataclass(frozen=True, kw_only=True)
class LinearAccuracy:
    """The classifier as it was after `epoch`; percentages of images."""

    epoch: int
    val_top1: float
    test_top1: float
    test_top5: float


@dataclass(frozen=True, kw_only=True)
class LinearResult:
    """Two classifiers of one training, and its curve."""

    last: LinearAccuracy
    """After the last epoch: what the tables report."""
    best_on_val: LinearAccuracy
    """After the (first) epoch that is best on val."""
    curve: tuple[LinearEpoch, ...]


class LinearTraining:
    """SGD with momentum 0.9 and no weight decay; the learning rate falls by a cosine per epoch.

    It starts at `learning_rate` × `batch_size` / 256 and reaches 0 after `epochs`.
    """

    def __init__(
        self, classifier: nn.Linear, *, learning_rate: float, batch_size: int, epochs: int
    ) -> None:
        self.classifier = classifier
        self._optimizer = torch.optim.SGD(
            classifier.parameters(), lr=learning_rate * batch_size / 256, momentum=0.9
        )
        self._schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self._optimizer, T_max=epochs)

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next step."""
        return float(self._optimizer.param_groups[0]["lr"])

    def step(
        self, features: Float[Tensor, "batch dim"], labels: Int64[Tensor, " batch"]
    ) -> Float[Tensor, ""]:
        """The batch's cross-entropy before the step that it causes."""
        loss = F.cross_entropy(self.classifier(features), labels)
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()
        return loss.detach()

    def end_epoch(self) -> None:
        """Lower the learning rate."""
        self._schedule.step()


def linear(splits: LabelledSplits, config: LinearConfig) -> LinearResult:
    """The accuracy of a classifier trained on train; test is looked at once, after training.

    Every training image is used in every epoch, so an epoch's last batch may be smaller.
    """
    splits = splits.to(best_device())
    train = splits.train
    generator = torch.Generator().manual_seed(config.seed)
    classifier = initial_classifier(train.features.shape[1], splits.classes, generator)
    training = LinearTraining(
        classifier.to(train.features.device),
        learning_rate=config.learning_rate,
        batch_size=config.batch_size,
        epochs=config.epochs,
    )
    curve: list[LinearEpoch] = []
    best_epoch, best_top1, best = 0, -1.0, classifier
    for epoch in tqdm(range(1, config.epochs + 1), desc="linear", unit="epoch"):
        order = torch.randperm(len(train.labels), generator=generator)
        batches = order.to(train.labels.device).split(config.batch_size)
        losses = [training.step(train.features[batch], train.labels[batch]) for batch in batches]
        training.end_epoch()
        val = validate(classifier, splits.val, config.batch_size)
        curve.append(
            LinearEpoch(
                epoch=epoch,
                train_loss=torch.stack(losses).double().mean().item(),
                val_loss=val.loss,
                val_top1=val.top1,
            )
        )
        if val.top1 > best_top1:
            best_epoch, best_top1, best = epoch, val.top1, copy.deepcopy(classifier)

    def accuracy(classifier: nn.Linear, epoch: int) -> LinearAccuracy:
        test = validate(classifier, splits.test, config.batch_size)
        return LinearAccuracy(
            epoch=epoch,
            val_top1=curve[epoch - 1].val_top1,
            test_top1=test.top1,
            test_top5=test.top5,
        )

    return LinearResult(
        last=accuracy(classifier, config.epochs),
        best_on_val=accuracy(best, best_epoch),
        curve=tuple(curve),
    )


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
    ranks = rank_of_label(logits.cpu().numpy(), split.labels.cpu().numpy())
    return Validation(
        loss=losses.double().mean().item(),
        top1=top_k_accuracy(ranks, 1),
        top5=top_k_accuracy(ranks, 5),
    )


def classifier_input(
    cls_tokens: Float[Tensor, "images blocks dim"],
    patch_mean: Float[Tensor, "images dim"],
    average_pool: bool,
) -> Float[Tensor, "images features"]:
    """What the classifier sees: the [CLS] tokens one after the other, oldest block first.

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
    return torch.stack([cls_tokens[:, 0], patch_mean], dim=-1).flatten(1)
