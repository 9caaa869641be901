"""The training loop: batches in, a checkpoint and a log out, from wherever it was interrupted."""

import dataclasses
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int64
from torch import Tensor
from tqdm import tqdm

from dino.core.artifacts import fingerprint, sha256_of_file
from dino.core.code_fingerprint import code_fingerprint
from dino.core.configuration.architecture import ArchitectureConfig
from dino.core.configuration.pretrain import PretrainConfig
from dino.core.distributed import cores, is_main, rank, world_size
from dino.core.errors import CheckpointError, CollapseError, InterruptedTraining
from dino.core.precision import best_device, resolve_precision
from dino.core.progress import title
from dino.core.provenance import plain
from dino.core.resumable import decisive_parameters
from dino.data.batch_loader import BatchLoader
from dino.data.dataset import PreparedDataset
from dino.data.loader import CropBatch, CropDataset, EpochBatches, crop_loader
from dino.optim.parameter_groups import build_optimizer
from dino.training.collapse import collapse, not_finite
from dino.training.interruption import Interruption, ignore_signals
from dino.training.monitor import LogRow, measure
from dino.training.online_knn import OnlineKnn
from dino.training.schedules import Schedules
from dino.training.starting_point import starting_point
from dino.training.step import Stepper, StepResult, shards_for

LOG_EVERY_STEPS = 20
_CODE = ("dino.training.pretrain", "dino.training.checkpoints")
"""The modules that, with all that they import, decide what a saved state means."""

Callback = Callable[["Pretraining"], None]


@dataclasses.dataclass(frozen=True)
class _Taken:
    """A step that was queued on the device; its numbers may not be computed yet."""

    step: int
    result: StepResult
    images: Int64[Tensor, " batch"]


class Pretraining:
    """A pretraining run in memory: `train` moves it, `content` and `restore` keep it."""

    def __init__(
        self,
        dataset: PreparedDataset,
        architecture: ArchitectureConfig,
        config: PretrainConfig,
        seed: int,
    ) -> None:
        self.dataset = dataset
        self.architecture = architecture
        self.config = config
        self.seed = seed
        self.device = best_device()
        self.precision = resolve_precision(config.precision, self.device)
        self.networks, self.center = starting_point(architecture, config, seed, self.device)
        fixed = config.teacher.kind == "fixed"
        self.learner = self.networks.student if fixed else self.networks.teacher
        """The network that the training is for: the teacher, or the student of a fixed teacher."""
        self.optimizer = build_optimizer(self.networks.student, config.optimizer)
        images = dataset.indices("train")
        config.check_batch(len(images), world_size())
        self.batches = EpochBatches(images, config.batch_size, seed, rank(), world_size())
        self.schedules = Schedules(config, len(self.batches))
        self.stepper = Stepper(
            self.networks,
            self.center,
            self.optimizer,
            config,
            self.precision,
            seed=seed,
            shards=shards_for(self.networks.student, self.device, config),
        )
        self.online_knn = OnlineKnn(dataset, config.online_knn_bank, config.crops.global_size_px)
        self.step = 0
        """The number of batches so far."""
        self.skipped = 0
        """The number of batches undone because fp16 overflowed; the schedules skip them."""
        self.log: list[LogRow] = []
        self.measured: list[Tensor] = []
        """The numbers of the steps since the last row of the log."""
        self._last: _Taken | None = None

    @property
    def finished_epochs(self) -> int | None:
        """The number of finished epochs, at the end of one; None in the middle."""
        epochs, steps = divmod(self.step, len(self.batches))
        return epochs if steps == 0 else None

    @property
    def fingerprint(self) -> str:
        """A checksum of everything that the checkpoint and the log depend on, the code included.

        The number of processes is not part of it: another number continues with the same crops,
        and its sums differ by rounding alone.
        """
        files = (self.config.initial, self.config.teacher.checkpoint)
        return fingerprint(
            {
                "architecture": plain(self.architecture),
                "pretrain": decisive_parameters(self.config),
                "files": [sha256_of_file(Path(file)) for file in files if file],
                "code": code_fingerprint(*_CODE),
                "seed": self.seed,
                "data": self.dataset.fingerprint,
                "precision": self.precision,
            }
        )

    def train(self, on_log: Callback, on_checkpoint: Callback, interruption: Interruption) -> None:
        """Train to the last epoch.

        `on_log` is called after every new row of the log, `on_checkpoint` every
        `checkpoints.minutes`, at each epoch's end and before `InterruptedTraining` is raised for a
        signal. Raises `CollapseError` when a step is not finite; no checkpoint has seen it then;
        and, where `monitor.on_collapse` says stop, when the distributions have collapsed.
        """
        crops = CropDataset(self.dataset, self.config.crops, self.seed)
        with tqdm(
            total=len(self.schedules) * self.config.batch_size,
            initial=self.step * self.config.batch_size,
            desc=title("pretrain"),
            unit="images",
            mininterval=5,
            disable=not is_main(),
        ) as progress:
            while self.step < len(self.schedules):
                epoch, self.batches.first_batch = divmod(self.step, len(self.batches))
                self.batches.epoch = epoch
                saved_at = time.monotonic()
                loader = crop_loader(crops, self.batches, worker_count(), ignore_signals)
                # no name for the iterator: it, and its workers, must end with this frame even
                # where an error's traceback keeps the frame
                for batch in _started(loader, interruption):
                    stop = self._step(batch, epoch, interruption)
                    progress.update(self.config.batch_size)
                    epoch_ends = self.finished_epochs is not None
                    if epoch_ends:
                        self.stepper.teacher.after_epoch()
                    if self.step % LOG_EVERY_STEPS == 0 or epoch_ends:
                        self._log(epoch_ends)
                        progress.set_postfix_str(self.log[-1].progress_text())
                        on_log(self)
                        self._judge()
                    minutes = (time.monotonic() - saved_at) / 60
                    if minutes >= self.config.checkpoints.minutes or epoch_ends or stop:
                        self._verify(self._last)
                        on_checkpoint(self)
                        saved_at = time.monotonic()
                    if stop and self.step < len(self.schedules):
                        raise InterruptedTraining(
                            interruption.requested, self.step, interruption.command
                        )

    def _step(self, batch: CropBatch, epoch: int, interruption: Interruption) -> bool:
        """Whether a process was asked to stop; all processes learnt it in the step before."""
        values = self.schedules.at(self.step - self.skipped)
        result = self.stepper.step(
            batch.crops,
            epoch,
            values,
            step=self.step,
            images=batch.images,
            stop=interruption.requested is not None,
        )
        before, self._last = self._last, _Taken(self.step, result, batch.images)
        self.measured.append(measure(result, self.center.value))
        self.step += 1
        self.skipped += result.skipped
        # only now, when the device has its next work, is the step before waited for
        self._verify(before)
        return before is not None and bool(before.result.stop > 0)

    def _verify(self, taken: _Taken | None) -> None:
        """Raise `CollapseError` for a step that was not finite."""
        if taken is None or taken.result.finite:
            return
        names = [n for n, p in self.networks.student.named_parameters() if p.requires_grad]
        ids = self.dataset.manifest["id"].iloc[taken.images.numpy()].tolist()
        raise not_finite(taken.result, taken.step, taken.step // len(self.batches), names, ids)

    def _judge(self) -> None:
        """Warn of a collapse in the row that shows it first, or raise `CollapseError`."""
        config, prototypes = self.config.monitor, self.config.head.out_dim
        found = collapse(self.log, config, prototypes)
        if found is None or config.on_collapse == "ignore":
            return
        if config.on_collapse == "stop":
            raise CollapseError(str(found))
        if is_main() and collapse(self.log[:-1], config, prototypes) is None:
            tqdm.write(f"warning: {found}", file=sys.stderr)

    def _log(self, epoch_ends: bool) -> None:
        epoch = self.step / len(self.batches)
        every = self.config.online_knn_every_epochs
        knn_is_due = (
            epoch_ends and self.online_knn.is_possible and every > 0 and round(epoch) % every == 0
        )
        self.log.append(
            LogRow.of(
                self.measured,
                self.schedules.at(max(self.step - self.skipped - 1, 0)),
                step=self.step,
                epoch=epoch,
                images=self.step * self.config.batch_size,
                skipped_steps=self.skipped,
                online_knn_top1=(
                    self.online_knn.top1(self.learner.backbone, self.device)
                    if knn_is_due and is_main()
                    else None
                ),
            )
        )
        self.measured.clear()

    def content(self) -> dict[str, Any]:
        """Everything that the next step depends on, for a checkpoint.

        In place of a fixed teacher, which has a file of its own, stands what is learnt from it.
        """
        learner = self.learner.state_dict()
        return {
            "fingerprint": self.fingerprint,
            "architecture": plain(self.architecture),
            "head": plain(self.config.head),
            "seed": self.seed,
            "student": self.networks.student.state_dict(),
            "teacher": {
                name: value
                for name, value in learner.items()
                if not name.startswith("head.predictor.")
            },
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.stepper.scaler.state_dict(),
            "center": self.center.value,
            "step": self.step,
            "skipped": self.skipped,
            "log": [dataclasses.asdict(row) for row in self.log],
            "measured": torch.stack(self.measured) if self.measured else torch.empty(0),
        }

    def restore(self, content: dict[str, Any]) -> None:
        """Continue from a checkpoint's content; raises `CheckpointError` for another training's."""
        if content["fingerprint"] != self.fingerprint:
            raise CheckpointError(
                "the checkpoint belongs to other parameters, data or precision; delete it to start "
                "anew"
            )
        self.networks.student.load_state_dict(content["student"])
        if self.learner is self.networks.teacher:
            self.networks.teacher.load_state_dict(content["teacher"])
        self.optimizer.load_state_dict(content["optimizer"])
        self.stepper.scaler.load_state_dict(content["scaler"])
        self.center.value.copy_(content["center"])
        self.step = content["step"]
        self.skipped = content["skipped"]
        self.log = [LogRow(**row) for row in content["log"]]
        self.measured = list(content["measured"].to(self.device))


def _started(loader: BatchLoader, interruption: Interruption) -> Iterator[CropBatch]:
    """The batches of `loader`, whose workers are started while signals are ignored."""
    with interruption.postponed():
        return iter(loader)


def worker_count() -> int:
    """The number of processes that make crops ahead: one for every two cores."""
    return max(1, cores() // 2)
