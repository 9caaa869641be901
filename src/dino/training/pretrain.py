"""The training loop: batches in, a checkpoint and a log out, from wherever it was interrupted."""

import dataclasses
import os
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from dino.core.artifacts import fingerprint
from dino.core.configuration.architecture import ArchitectureConfig
from dino.core.configuration.pretrain import PretrainConfig
from dino.core.errors import CheckpointError, DataError
from dino.core.precision import best_device, resolve_precision
from dino.core.provenance import code_fingerprint, plain
from dino.core.seeding import stream
from dino.data.dataset import PreparedDataset
from dino.data.loader import CropBatch, CropDataset, EpochBatches, crop_loader
from dino.model.checkpoint import load_checkpoint, save_checkpoint
from dino.model.student_teacher import build_student_teacher
from dino.objective.center import Center
from dino.optim.parameter_groups import build_optimizer
from dino.training.monitor import LogRow, OnlineKnn, measure
from dino.training.step import Schedules, Stepper, shards_for

LOG_EVERY_STEPS = 20
_CODE = ("data", "model", "objective", "optim", "features", "training")
# first word of the random streams' keys; dino.data.loader has 0 and 1
_DROP_PATH = 2


class Pretraining:
    """A pretraining run in memory: `train` moves it, `save` and `resume` keep it."""

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
        self.networks = build_student_teacher(architecture, config.head, seed).to(self.device)
        self.shards = shards_for(self.networks.student, self.device, architecture.drop_path)
        self.center = Center(config.head.out_dim, config.loss.center_momentum).to(self.device)
        self.optimizer = build_optimizer(self.networks.student, config.optimizer)
        self.batches = EpochBatches(dataset.indices("train"), config.batch_size, seed)
        if len(self.batches) == 0:
            raise DataError(
                f"pretrain.batch_size: expected at most the {len(self.batches.images)} training "
                f"images, got {config.batch_size}"
            )
        self.schedules = Schedules(config, len(self.batches))
        self.online_knn = OnlineKnn(dataset, config.online_knn_bank, config.crops.global_size_px)
        self.step = 0
        self.log: list[LogRow] = []
        self.measured: list[Tensor] = []
        """Of the steps since the last row of the log."""

    @property
    def fingerprint(self) -> str:
        """Identifies everything that the checkpoint and the log depend on, the code included."""
        config = plain(self.config)
        # how often a state is saved changes nothing that is computed
        del config["checkpoints"]
        return fingerprint(
            {
                "architecture": plain(self.architecture),
                "pretrain": config,
                "code": code_fingerprint(_CODE),
                "seed": self.seed,
                "data": self.dataset.fingerprint,
                "precision": self.precision,
            }
        )

    def train(
        self, on_log: Callable[["Pretraining"], None], on_interval: Callable[["Pretraining"], None]
    ) -> None:
        """Train to the last epoch.

        `on_log` is called after every new row of the log, `on_interval` every
        `checkpoint_minutes` and at each epoch's end.
        """
        stepper = Stepper(
            self.networks,
            self.center,
            self.optimizer,
            self.config,
            self.precision,
            shards=self.shards,
        )
        crops = CropDataset(self.dataset, self.config.crops, self.seed)
        saved_at = time.monotonic()
        with tqdm(
            total=len(self.schedules) * self.config.batch_size,
            initial=self.step * self.config.batch_size,
            desc="pretrain",
            unit="images",
            mininterval=5,
        ) as progress:
            while self.step < len(self.schedules):
                epoch, self.batches.first_batch = divmod(self.step, len(self.batches))
                self.batches.epoch = epoch
                for batch in crop_loader(crops, self.batches, worker_count()):
                    self._step(stepper, batch, epoch)
                    progress.update(self.config.batch_size)
                    epoch_ends = self.step % len(self.batches) == 0
                    if self.step % LOG_EVERY_STEPS == 0 or epoch_ends:
                        self._log(epoch_ends)
                        progress.set_postfix_str(self.log[-1].progress_text())
                        on_log(self)
                    minutes = (time.monotonic() - saved_at) / 60
                    if minutes >= self.config.checkpoints.minutes or epoch_ends:
                        on_interval(self)
                        saved_at = time.monotonic()

    def _step(self, stepper: Stepper, batch: CropBatch, epoch: int) -> None:
        values = self.schedules.at(self.step)
        # drop path draws from the global stream: its masks must not depend on the history
        torch.manual_seed(int(stream(_DROP_PATH, self.seed, self.step).integers(2**63)))
        self.measured.append(measure(stepper.step(batch.normalised(self.device), epoch, values)))
        self.step += 1

    def _log(self, epoch_ends: bool) -> None:
        values = self.schedules.at(self.step - 1)
        epoch = self.step / len(self.batches)
        every = self.config.online_knn_every_epochs
        knn_is_due = (
            epoch_ends and self.online_knn.is_possible and every > 0 and round(epoch) % every == 0
        )
        self.log.append(
            LogRow.of(
                self.measured,
                values,
                step=self.step,
                epoch=epoch,
                images=self.step * self.config.batch_size,
                online_knn_top1=(
                    self.online_knn.top1(self.networks.teacher.backbone, self.device)
                    if knn_is_due
                    else None
                ),
            )
        )
        self.measured.clear()

    def save(self, path: Path) -> None:
        """Write all that the next step depends on."""
        save_checkpoint(
            path,
            {
                "fingerprint": self.fingerprint,
                "architecture": plain(self.architecture),
                "seed": self.seed,
                "student": self.networks.student.state_dict(),
                "teacher": self.networks.teacher.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "center": self.center.value,
                "step": self.step,
                "log": [dataclasses.asdict(row) for row in self.log],
                "measured": torch.stack(self.measured) if self.measured else torch.empty(0),
            },
        )

    def resume(self, path: Path) -> None:
        """Continue from a checkpoint; raises `CheckpointError` for one of another training."""
        content = load_checkpoint(path)
        if content["fingerprint"] != self.fingerprint:
            raise CheckpointError(
                f"{path}: belongs to other parameters, data or precision; delete it to start anew"
            )
        self.networks.student.load_state_dict(content["student"])
        self.networks.teacher.load_state_dict(content["teacher"])
        self.optimizer.load_state_dict(content["optimizer"])
        self.center.value.copy_(content["center"])
        self.step = content["step"]
        self.log = [LogRow(**row) for row in content["log"]]
        self.measured = list(content["measured"].to(self.device))


def worker_count() -> int:
    """Processes that make crops ahead: one for every two cores, which training uses otherwise."""
    return max(1, len(os.sched_getaffinity(0)) // 2)
