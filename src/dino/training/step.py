"""One optimizer step of DINO: the equations of the method in their order."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

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
        self.teacher_momentum = cosine_schedule(config.teacher_momentum, 1.0, steps)
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
    ) -> None:
        self.networks = networks
        self.center = center
        self.optimizer = optimizer
        self.config = config
        self.precision = precision
        self.trainable = [p for p in networks.student.parameters() if p.requires_grad]

    def step(
        self, crops: Sequence[Float[Tensor, "_batch 3 _h _w"]], epoch: int, values: StepValues
    ) -> StepResult:
        """Move the networks by one batch of crops, the two global ones first.

        Raises `CollapseError` before anything has moved when the loss is not finite.
        """
        config = self.config
        set_step_values(self.optimizer, values.learning_rate, values.weight_decay)
        with autocast(self.precision, crops[0].device):
            with torch.no_grad():
                teacher_scores = self.networks.teacher(crops[:GLOBAL_CROPS])
            student_scores = self.networks.student(crops)
        probabilities = teacher_distribution(
            teacher_scores, self.center.value, values.teacher_temperature
        )
        loss = dino_loss(student_scores, probabilities, config.loss.student_temperature)
        if not torch.isfinite(loss.loss):
            raise CollapseError(
                f"the loss is {loss.loss.item()} in epoch {epoch}; lower "
                "pretrain.optimizer.learning_rate or set pretrain.precision: float32"
            )
        self.center.update(teacher_scores)

        self.optimizer.zero_grad(set_to_none=True)
        loss.loss.backward()
        gradient_norms = clip_each(self.trainable, config.optimizer.clip_norm)
        freeze_last_layer(self.networks.student, epoch, config.optimizer.freeze_last_layer_epochs)
        self.optimizer.step()
        self.networks.update_teacher(values.teacher_momentum)
        return StepResult(
            loss=loss,
            student_scores=student_scores.detach(),
            teacher_scores=teacher_scores,
            gradient_norms=gradient_norms,
        )
