"""One optimizer step of DINO: the equations of the method in their order."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor, nn

from dino.core.configuration.pretrain import PretrainConfig
from dino.core.distributed import mean_over_ranks
from dino.core.precision import Precision, autocast
from dino.core.seeding import Purpose
from dino.data.normalisation import normalised
from dino.model.batch_norm import has_batch_norm
from dino.model.drop_path import DropPathKey
from dino.model.student_teacher import StudentTeacher, TeacherUpdate
from dino.objective.center import Center
from dino.objective.dino_loss import dino_loss
from dino.objective.mse_loss import mse_loss
from dino.objective.teacher_distribution import teacher_distribution
from dino.objective.views import GLOBAL_CROPS
from dino.optim.gradients import clip_each, freeze_last_layer
from dino.optim.parameter_groups import set_step_values
from dino.training.schedules import StepValues

Crop = UInt8[Tensor, "_batch _c _h _w"] | Float[Tensor, "_batch 3 _h _w"]
"""Pixels from the loader, or numbers that are already normalised."""


@dataclass(frozen=True, kw_only=True)
class StepResult:
    """The numbers of one step, over the whole batch of all processes, on the device."""

    loss: Float[Tensor, ""]
    teacher_entropy: Float[Tensor, ""]
    kl: Float[Tensor, ""]
    mean_distribution: Float[Tensor, " prototypes"]
    """The mean distribution; this, the entropy and the KL divergence are those of `DinoLoss`."""
    mean_feature: Float[Tensor, " dim"]
    """The mean of the teacher's L2-normalised features."""
    stop: Float[Tensor, ""]
    """The share of the processes that were asked to stop."""
    gradient_norms: Float[Tensor, " parameters"]
    """The norms before clipping, in the order of `Stepper.trainable`."""
    skipped: bool = False
    """Whether fp16 overflowed, so that neither networks nor center nor schedules moved."""

    @property
    def finite(self) -> Bool[Tensor, ""]:
        """Whether loss and gradients are finite; an overflow of fp16 alone counts as finite."""
        finite = torch.isfinite(self.loss)
        return finite if self.skipped else finite & torch.isfinite(self.gradient_norms).all()


class Stepper:
    """Student, teacher, center and optimizer, and the step that moves them."""

    def __init__(
        self,
        networks: StudentTeacher,
        center: Center,
        optimizer: torch.optim.Optimizer,
        config: PretrainConfig,
        precision: Precision,
        shards: int = 1,
        seed: int = 0,
    ) -> None:
        """`seed` is that of drop path's masks.

        `shards` parts of a batch are computed at a time, each in a thread of its own. On a
        processor networks gain by it: their operations are too short to be divided among
        cores one by one. It equals the whole batch up to rounding, for networks in which the
        images of a batch do not meet; `shards_for` says how many a network may have.
        """
        self.networks = networks
        self.center = center
        self.optimizer = optimizer
        self.config = config
        self.precision = precision
        self.shards = shards
        self.seed = seed
        self.teacher = TeacherUpdate(networks, config.teacher.kind)
        self.trainable = [p for p in networks.student.parameters() if p.requires_grad]
        self.device = self.trainable[0].device
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=precision == "fp16")
        self._threads = ThreadPoolExecutor(
            shards, thread_name_prefix="shard", initializer=lambda: torch.set_num_threads(1)
        )

    def step(
        self,
        crops: Sequence[Crop],
        epoch: int,
        values: StepValues,
        *,
        step: int = 0,
        images: Int64[Tensor, " batch"] | None = None,
        stop: bool = False,
    ) -> StepResult:
        """Move the networks by one batch of crops, the two global ones first.

        Drop path's masks depend on `step` and on the indices of the `images` (None: 0, 1, …).
        `stop` tells the other processes that this one was asked to stop. Nothing waits for the
        device here (but for fp16): whoever needs to know whether the result is `finite` asks for
        it when it suits.
        """
        config = self.config
        set_step_values(self.optimizer, values.learning_rate, values.weight_decay)
        if images is None:
            images = torch.arange(len(crops[0]))
        gradients, seen = self._forward_backward(crops, images, step, values.teacher_temperature)
        stop_share = torch.tensor(float(stop), device=self.device)
        # all that is reduced over processes is a mean, so one reduction serves gradients, center
        # and log; pieces of a batch and processes are then the same sum
        mean_over_ranks([*gradients, *seen, stop_share])
        loss, teacher_entropy, kl, distribution, scores, feature = seen

        for parameter, gradient in zip(self.trainable, gradients, strict=True):
            parameter.grad = gradient
        self.scaler.unscale_(self.optimizer)
        gradient_norms = clip_each(self.trainable, config.optimizer.clip_norm)
        freeze_last_layer(self.networks.student, epoch, config.optimizer.freeze_last_layer_epochs)
        self.teacher.before_step()
        skipped = self._optimize()
        if not skipped:
            self.center.update(scores)
            self.teacher.after_step(values.teacher_momentum)
        for parameter in self.trainable:
            parameter.grad = None
        return StepResult(
            loss=loss,
            teacher_entropy=teacher_entropy,
            kl=kl,
            mean_distribution=distribution,
            mean_feature=feature,
            stop=stop_share,
            gradient_norms=gradient_norms,
            skipped=skipped,
        )

    def _optimize(self) -> bool:
        """Whether fp16 overflowed, so that the optimizer left everything as it was."""
        if not self.scaler.is_enabled():
            self.optimizer.step()
            return False
        scale = self.scaler.get_scale()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return self.scaler.get_scale() < scale

    def _forward_backward(
        self,
        crops: Sequence[Crop],
        images: Int64[Tensor, " batch"],
        step: int,
        teacher_temperature: float,
    ) -> tuple[list[Tensor], list[Tensor]]:
        """The gradients of the mean loss, and `_forward`'s means, over this process's batch."""
        batch = len(images)
        count = min(self.config.micro_batches * self.shards, batch)
        pieces = list(zip(*(part.tensor_split(count) for part in (images, *crops)), strict=True))

        def compute(pieces: Sequence[Sequence[Tensor]]) -> tuple[list[Tensor], list[Tensor]]:
            gradients: list[Tensor] = []
            seen: list[Tensor] = []
            for images, *crops in pieces:
                share = len(images) / batch
                key = DropPathKey(
                    purpose=Purpose.PRETRAIN_DROP_PATH, seed=self.seed, step=step, images=images
                )
                loss, statistics = self._forward(crops, key, teacher_temperature)
                parts = torch.autograd.grad(self.scaler.scale(loss * share), self.trainable)
                gradients = _sum(gradients, parts)
                seen = _sum(seen, torch._foreach_mul(statistics, share))
            return gradients, seen

        if self.shards == 1:
            return compute(pieces)
        each = [pieces[shard :: self.shards] for shard in range(min(self.shards, count))]
        gradients: list[Tensor] = []
        seen: list[Tensor] = []
        # in the order of the shards: the sum must not depend on which thread ends first
        for parts, statistics in self._threads.map(compute, each):
            gradients, seen = _sum(gradients, parts), _sum(seen, statistics)
        return gradients, seen

    def _forward(
        self, crops: Sequence[Crop], key: DropPathKey, teacher_temperature: float
    ) -> tuple[Float[Tensor, ""], list[Tensor]]:
        """The loss of a piece of a batch, and means over its rows: loss, teacher's entropy, KL,
        teacher's distribution, scores and feature.
        """
        inputs = [_network_input(crop, self.device) for crop in crops]
        student, teacher = self.networks.student, self.networks.teacher
        with autocast(self.precision, self.device):
            with torch.no_grad():
                features = teacher.features(inputs[:GLOBAL_CROPS])
                scores = teacher.head(features).float()
            student_scores = student(inputs, key)
        config = self.config.loss
        distribution = teacher_distribution(
            scores, self.center.value, teacher_temperature, config.centering
        )
        if config.name == "mse":
            result = mse_loss(student_scores, scores, distribution, config.student_temperature)
        else:
            result = dino_loss(student_scores, distribution, config.student_temperature)
        return result.loss, [
            result.loss.detach(),
            result.teacher_entropy,
            result.kl,
            result.mean_distribution,
            scores.mean(dim=0, keepdim=True),
            F.normalize(features.float(), dim=-1).mean(dim=0),
        ]


def shards_for(student: nn.Module, device: torch.device, config: PretrainConfig) -> int:
    """The number of threads that share a batch: one for each core, or 1 with batch statistics.

    BatchNorm and the centering by Sinkhorn-Knopp or softmax look at the whole batch.
    """
    if (
        device.type != "cpu"
        or has_batch_norm(student)
        or config.loss.centering in ("sinkhorn_knopp", "softmax")
    ):
        return 1
    return torch.get_num_threads()


def _network_input(crop: Crop, device: torch.device) -> Float[Tensor, "batch 3 _h _w"]:
    crop = crop.to(device, non_blocking=True)
    return normalised(crop) if crop.dtype == torch.uint8 else crop


def _sum(total: list[Tensor], part: Sequence[Tensor]) -> list[Tensor]:
    if not total:
        return list(part)
    torch._foreach_add_(total, list(part))
    return total
