"""Everything that changes from step to step of a training, in one place."""

from dataclasses import dataclass

from dino.core.configuration.pretrain import PretrainConfig
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
