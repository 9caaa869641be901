"""Fine-tuning of whole networks on labelled images, beside the same network from random weights."""

import copy
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor, nn
from torch.utils.data import Dataset
from tqdm import tqdm

from dino.core.configuration.finetune import FinetuneConfig
from dino.core.distributed import cores
from dino.core.errors import CollapseError
from dino.core.precision import best_device
from dino.core.progress import title
from dino.data.batch_loader import batch_loader
from dino.data.dataset import PreparedDataset, Split
from dino.data.labelled_images import (
    AugmentedImages,
    epoch_batches,
    stratified_subset,
)
from dino.data.normalisation import normalised
from dino.evaluation.network_training import Mixing, NetworkTraining, add_classifier
from dino.features.frozen_backbone import FrozenBackbone
from dino.features.preprocessing import centre_crop_pixels
from dino.metrics.accuracy import rank_of_label, top_k_accuracy
from dino.metrics.intervals import share_interval

Interval = tuple[float, float] | None
_KEPT_BYTES = 2**28
"""A split with at most so many bytes of pixels is kept, and not decoded in every epoch."""
_BATCH = 256
"""Images that are classified at a time."""


@dataclass(frozen=True, kw_only=True)
class FinetuneEpoch:
    """One point of the learning curve."""

    epoch: int
    """From 1."""
    train_loss: float
    """Mean over the epoch's batches, each before its own step, with mixed and smoothed targets."""
    val_top1: float | None
    """None after an epoch without a look at val."""


@dataclass(frozen=True, kw_only=True)
class FinetuneAccuracy:
    """The network as it was after `epoch`; percentages of images with 95 % bootstrap intervals."""

    epoch: int
    val_top1: float
    val_top1_interval: Interval
    test_top1: float
    test_top1_interval: Interval


@dataclass(frozen=True, kw_only=True)
class FinetuneResult:
    """Two networks of one training, and its curve."""

    layer_decay: float
    last: FinetuneAccuracy
    """After the last epoch: what the tables report."""
    best_on_val: FinetuneAccuracy
    """After the (first) epoch that is best on val, of those with a look at it."""
    curve: tuple[FinetuneEpoch, ...]


def training_images(
    dataset: PreparedDataset, config: FinetuneConfig
) -> Int64[np.ndarray, " images"]:
    """The indices of the labelled training images; raises `ConfigurationError` for too few."""
    images = dataset.labelled_indices("train")
    config.check_images(len(images))
    if config.max_train_images is not None:
        labels = dataset.manifest["label"].to_numpy(dtype=np.int64)[images]
        images = images[stratified_subset(labels, config.max_train_images, config.seed)]
    return images


def finetune(
    backbones: Mapping[str, nn.Module],
    layer_decays: Mapping[str, float],
    dataset: PreparedDataset,
    config: FinetuneConfig,
) -> dict[str, FinetuneResult]:
    """The accuracies of each of `backbones` (trainable), fine-tuned with its layer decay.

    All see the same batches: the same images in the same order with the same augmentation. Test
    is looked at once, after training. Raises `CollapseError` for a loss that is NaN or infinite.
    """
    images = training_images(dataset, config)
    for backbone in backbones.values():
        _ensure_takes(backbone, config.crop_px)
    device, classes = best_device(), len(dataset.classes)
    steps_per_epoch = len(images) // config.batch_size
    candidates = {
        name: _Candidate(
            NetworkTraining(
                add_classifier(backbone, classes, config.seed),
                config,
                layer_decay=layer_decays[name],
                steps_per_epoch=steps_per_epoch,
                device=device,
            )
        )
        for name, backbone in backbones.items()
    }
    # one thread a network, as in dino.features.global_features
    threads = ThreadPoolExecutor(
        len(candidates),
        initializer=lambda: torch.set_num_threads(max(1, cores() // len(candidates))),
    )
    trainer = _Trainer(dataset, config, candidates, threads, device)
    progress = tqdm(
        range(1, config.epochs + 1), desc=title("finetune"), unit="epoch", mininterval=2
    )
    with threads:
        for epoch in progress:
            losses = trainer.train(
                epoch, epoch_batches(images, config.batch_size, config.seed, epoch)
            )
            looks = epoch % config.validate_every_epochs == 0 or epoch == config.epochs
            top1 = trainer.top1("val") if looks else {}
            for name, candidate in candidates.items():
                candidate.note(name, epoch, losses[name], top1.get(name))
        last = trainer.top1("test")
        for candidate in candidates.values():
            candidate.training.network.load_state_dict(candidate.best)
        best = trainer.top1("test")
    counts = len(dataset.indices("val")), len(dataset.indices("test"))
    return {
        name: candidate.result(layer_decays[name], counts, last[name], best[name])
        for name, candidate in candidates.items()
    }


def _ensure_takes(network: nn.Module, crop_px: int) -> None:
    """Raise `ConfigurationError` for a network that takes images of another size alone."""
    was_training = network.training
    # in evaluation mode, in which nothing is counted or drawn
    FrozenBackbone(network).global_feature(torch.zeros(1, 3, crop_px, crop_px))
    network.train(was_training)


@dataclass
class _Candidate:
    """A network in training, and what is known of it so far."""

    training: NetworkTraining
    curve: list[FinetuneEpoch] = field(default_factory=list)
    val_top1: dict[int, float] = field(default_factory=dict)
    """The accuracy on val after each epoch that measured it."""
    best_epoch: int = 0
    best: dict[str, Any] = field(default_factory=dict)
    """The network's state after the best epoch."""

    def note(self, name: str, epoch: int, loss: float, val_top1: float | None) -> None:
        if not np.isfinite(loss):
            raise CollapseError(
                f"finetune: the loss of {name} in epoch {epoch} is {loss}; lower "
                "finetune.learning_rate or set finetune.precision: float32"
            )
        if val_top1 is not None:
            if not self.val_top1 or val_top1 > self.val_top1[self.best_epoch]:
                self.best_epoch = epoch
                self.best = copy.deepcopy(self.training.network.state_dict())
            self.val_top1[epoch] = val_top1
        self.curve.append(FinetuneEpoch(epoch=epoch, train_loss=loss, val_top1=val_top1))

    def result(
        self, layer_decay: float, counts: tuple[int, int], last: float, best: float
    ) -> FinetuneResult:
        def accuracy(epoch: int, test_top1: float) -> FinetuneAccuracy:
            val_top1 = self.val_top1[epoch]
            return FinetuneAccuracy(
                epoch=epoch,
                val_top1=val_top1,
                val_top1_interval=share_interval(val_top1, counts[0]),
                test_top1=test_top1,
                test_top1_interval=share_interval(test_top1, counts[1]),
            )

        return FinetuneResult(
            layer_decay=layer_decay,
            last=accuracy(len(self.curve), last),
            best_on_val=accuracy(self.best_epoch, best),
            curve=tuple(self.curve),
        )


class _Trainer:
    """Passes over images that all candidates see together."""

    def __init__(
        self,
        dataset: PreparedDataset,
        config: FinetuneConfig,
        candidates: Mapping[str, _Candidate],
        threads: ThreadPoolExecutor,
        device: torch.device,
    ) -> None:
        self._dataset = dataset
        self._config = config
        self._trainings = {name: c.training for name, c in candidates.items()}
        self._threads = threads
        self._device = device
        self._mixing = Mixing(config, len(dataset.classes))
        self._augmented = AugmentedImages(dataset, config)
        labels = dataset.manifest["label"].to_numpy(dtype=np.int64)
        self._labels = torch.from_numpy(labels.copy())
        usable = cores()
        self._workers = usable if device.type == "cuda" else max(1, usable // 2)
        self._kept: dict[Split, list[Tensor]] = {}

    def train(self, epoch: int, batches: list[list[tuple[int, int]]]) -> dict[str, float]:
        """Each candidate's mean loss over an epoch, counted from 1."""
        loader = batch_loader(
            self._augmented,
            # float32
            batch_bytes=self._config.batch_size * 12 * self._config.crop_px**2,
            workers=self._workers,
            batch_sampler=batches,
            pin_memory=self._device.type == "cuda",
        )
        first = (epoch - 1) * len(batches)
        losses: dict[str, list[Tensor]] = {name: [] for name in self._trainings}
        for step, (images, indices) in enumerate(loader, start=first):
            images, targets = self._mixing(
                step,
                images.to(self._device, non_blocking=True),
                self._labels[indices].to(self._device),
            )

            def advance(
                name: str, step: int = step, batch: Any = (images, targets, indices)
            ) -> None:
                losses[name].append(self._trainings[name].step(step, *batch))

            list(self._threads.map(advance, self._trainings))
        return {name: torch.stack(parts).double().mean().item() for name, parts in losses.items()}

    def top1(self, split: Split) -> dict[str, float]:
        """Each candidate's accuracy on the central crops of a split, in percent."""
        ranks: dict[str, list[np.ndarray]] = {name: [] for name in self._trainings}
        labels = self._labels[torch.from_numpy(self._dataset.labelled_indices(split))]
        for pixels, truth in zip(self._pixels(split), labels.split(_BATCH), strict=True):
            images = normalised(pixels.to(self._device))

            def score(name: str, images: Tensor = images, truth: Tensor = truth) -> None:
                logits = self._trainings[name].logits(images)
                ranks[name].append(rank_of_label(logits, truth.numpy()))

            list(self._threads.map(score, self._trainings))
        return {name: top_k_accuracy(np.concatenate(parts), 1) for name, parts in ranks.items()}

    def _pixels(self, split: Split) -> Iterable[UInt8[Tensor, "batch 3 crop crop"]]:
        if split in self._kept:
            return self._kept[split]
        crops = _CentreCrops(self._dataset, self._dataset.indices(split), self._config)
        loader = batch_loader(
            crops,
            batch_bytes=_BATCH * 3 * self._config.crop_px**2,
            workers=self._workers,
            batch_size=_BATCH,
        )
        if len(crops) * 3 * self._config.crop_px**2 > _KEPT_BYTES:
            return loader
        self._kept[split] = list(loader)
        return self._kept[split]


class _CentreCrops(Dataset[UInt8[Tensor, "3 crop crop"]]):
    def __init__(
        self,
        dataset: PreparedDataset,
        images: Int64[np.ndarray, " images"],
        config: FinetuneConfig,
    ) -> None:
        self._dataset = dataset
        self._images = images
        self._config = config

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, row: int) -> UInt8[Tensor, "3 crop crop"]:
        image = self._dataset.image(int(self._images[row]))
        return centre_crop_pixels(image, self._config.resize_px, self._config.crop_px)
