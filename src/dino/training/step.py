"""One optimizer step of DINO: the equations of the method in their order."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dino.core.configuration.pretrain import PretrainConfig
from dino.core.errors import CollapseError
from dino.core.precision import Precision, autocast
from dino.model.student_teacher import StudentTeacher
from dino.objective.center import Center
from dino.objective.dino_loss import GLOBAL_CROPS, DinoLoss, dino_loss, teacher_distribution
from dino.optim.gradients import clip_each, freeze_last_layer
from dino.optim.parameter_groups import set_step_values
from dino.optim.schedules import (
    cosine_schedule,
    scaled_learning_rate,
    teacher_temperature_schedule,
)


@dataclass(frozen=True, kw_only=True)
class StepValues:
    """What the schedules say for one step."""

    learning_rate: float
    weight_decay: float
    teacher_momentum: float
    teacher_temperature: float


class Schedules:
    """All schedules of a training of `config.epochs` times `steps_per_epoch` steps."""

    def __init__(self, config: PretrainConfig, steps_per_epoch: int) -> None:
        optimizer, loss = config.optimizer, config.loss
        steps = config.epochs * steps_per_epoch
        self.steps_per_epoch = steps_per_epoch
        self.learning_rate = cosine_schedule(
            scaled_learning_rate(optimizer.learning_rate, config.batch_size),
            optimizer.min_learning_rate,
            steps,
            warmup_iterations=int(optimizer.warmup_epochs * steps_per_epoch),
        )
        self.weight_decay = cosine_schedule(
            optimizer.weight_decay, optimizer.final_weight_decay, steps
        )
        self.teacher_momentum = cosine_schedule(config.teacher.momentum, 1.0, steps)
        self.teacher_temperature = teacher_temperature_schedule(
            loss.warmup_teacher_temperature,
            loss.teacher_temperature,
            loss.warmup_teacher_temperature_epochs,
            config.epochs,
        )

    def __len__(self) -> int:
        return len(self.learning_rate)

    def at(self, step: int) -> StepValues:
        """The values of step `step`, counted from 0."""
        return StepValues(
            learning_rate=float(self.learning_rate[step]),
            weight_decay=float(self.weight_decay[step]),
            teacher_momentum=float(self.teacher_momentum[step]),
            teacher_temperature=float(self.teacher_temperature[step // self.steps_per_epoch]),
        )


@dataclass(frozen=True, kw_only=True)
class StepResult:
    """What a step saw before its update."""

    loss: DinoLoss
    student_scores: Float[Tensor, "student_rows prototypes"]
    teacher_scores: Float[Tensor, "teacher_rows prototypes"]
    gradient_norms: Float[Tensor, " parameters"]
    """Before clipping, in the order of the student's parameters that have a gradient."""


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
    ) -> None:
        """`shards` parts of a batch are computed at a time, each in a thread of its own.

        On a processor small networks gain by it: their operations are too short to be divided
        among cores one by one. It equals the whole batch up to rounding, for networks in which
        the images of a batch do not meet; `shards_for` says how many a network may have.
        """
        self.networks = networks
        self.center = center
        self.optimizer = optimizer
        self.config = config
        self.precision = precision
        self.shards = shards
        self.trainable = [p for p in networks.student.parameters() if p.requires_grad]
        self._threads = ThreadPoolExecutor(
            shards, thread_name_prefix="shard", initializer=lambda: torch.set_num_threads(1)
        )

    def step(
        self, crops: Sequence[Float[Tensor, "_batch 3 _h _w"]], epoch: int, values: StepValues
    ) -> StepResult:
        """Move the networks by one batch of crops, the two global ones first.

        Raises `CollapseError` before anything has moved when the loss is not finite.
        """
        config = self.config
        set_step_values(self.optimizer, values.learning_rate, values.weight_decay)
        results, gradients = self._forward_backward(crops, values.teacher_temperature)
        result = _joined(results)
        if not torch.isfinite(result.loss.loss):
            raise CollapseError(
                f"the loss is {result.loss.loss.item()} in epoch {epoch}; lower "
                "pretrain.optimizer.learning_rate or set pretrain.precision: float32"
            )
        self.center.update(result.teacher_scores)

        for parameter, gradient in zip(self.trainable, gradients, strict=True):
            parameter.grad = gradient
        gradient_norms = clip_each(self.trainable, config.optimizer.clip_norm)
        freeze_last_layer(self.networks.student, epoch, config.optimizer.freeze_last_layer_epochs)
        self.optimizer.step()
        self.networks.update_teacher(values.teacher_momentum)
        return replace(result, gradient_norms=gradient_norms)

    def _forward_backward(
        self, crops: Sequence[Float[Tensor, "_batch 3 _h _w"]], teacher_temperature: float
    ) -> tuple[list[StepResult], list[Tensor]]:
        """What each shard saw, and the gradients of the mean loss over the whole batch."""
        batch = len(crops[0])
        count = min(self.shards, batch)
        shards = list(zip(*(crop.tensor_split(count) for crop in crops), strict=True))

        def compute(shard: tuple[Tensor, ...]) -> tuple[StepResult, tuple[Tensor, ...]]:
            result = self._forward(shard, teacher_temperature)
            weighted = result.loss.loss * (len(shard[0]) / batch)
            return result, torch.autograd.grad(weighted, self.trainable)

        if len(shards) == 1:
            result, gradients = compute(shards[0])
            return [result], list(gradients)
        results, parts = zip(*self._threads.map(compute, shards), strict=True)
        total = list(parts[0])
        # in the order of the shards: the sum must not depend on which thread ends first
        for part in parts[1:]:
            torch._foreach_add_(total, part)
        return list(results), total

    def _forward(self, crops: Sequence[Tensor], teacher_temperature: float) -> StepResult:
        with autocast(self.precision, crops[0].device):
            with torch.no_grad():
                teacher_scores = self.networks.teacher(crops[:GLOBAL_CROPS])
            student_scores = self.networks.student(crops)
        probabilities = teacher_distribution(teacher_scores, self.center.value, teacher_temperature)
        return StepResult(
            loss=dino_loss(student_scores, probabilities, self.config.loss.student_temperature),
            student_scores=student_scores,
            teacher_scores=teacher_scores,
            gradient_norms=torch.empty(0),
        )


def shards_for(student: nn.Module, device: torch.device, drop_path: float) -> int:
    """How many threads may share a batch: one for each core, where images do not meet.

    BatchNorm looks at the whole batch, and drop path draws from a stream that threads would
    share in no fixed order.
    """
    meets = any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in student.modules())
    if device.type != "cpu" or meets or drop_path > 0:
        return 1
    return torch.get_num_threads()


def _joined(results: list[StepResult]) -> StepResult:
    """The results of a batch's shards as that of the whole batch, rows crop-major again."""
    if len(results) == 1:
        return replace(results[0], student_scores=results[0].student_scores.detach())
    sizes = [len(result.teacher_scores) // GLOBAL_CROPS for result in results]
    weights = torch.tensor(sizes) / sum(sizes)

    def mean(values: list[Tensor]) -> Tensor:
        return (torch.stack(values) * weights).sum()

    def rows(scores: list[Tensor]) -> Tensor:
        views = [s.detach().unflatten(0, (-1, n)) for s, n in zip(scores, sizes, strict=True)]
        return torch.cat(views, dim=1).flatten(0, 1)

    return StepResult(
        loss=DinoLoss(
            loss=mean([result.loss.loss.detach() for result in results]),
            teacher_entropy=mean([result.loss.teacher_entropy for result in results]),
        ),
        student_scores=rows([result.student_scores for result in results]),
        teacher_scores=rows([result.teacher_scores for result in results]),
        gradient_norms=torch.empty(0),
    )
