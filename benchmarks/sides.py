"""A training step of ours and one of the textbook, from equal weights, under one interface."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from benchmarks.agreement import Numbers, gradients_of_first_step
from benchmarks.machine import cores
from benchmarks.textbook.network import named_as_ours
from benchmarks.textbook.training import Training
from benchmarks.vit_small import SEED
from dino.core.configuration.architecture import ArchitectureConfig
from dino.core.configuration.pretrain import PretrainConfig
from dino.core.precision import Precision
from dino.model.student_teacher import build_student_teacher
from dino.objective.center import Center
from dino.optim.parameter_groups import build_optimizer
from dino.training.schedules import StepValues
from dino.training.step import Stepper, shards_for

# a small learning rate: the same batch comes again and again
VALUES = StepValues(
    learning_rate=1e-5, weight_decay=0.04, teacher_momentum=0.996, teacher_temperature=0.04
)
CPU = torch.device("cpu")


@dataclass(frozen=True, kw_only=True)
class Side:
    """One implementation of the training step."""

    step: Callable[[Sequence[Tensor]], Tensor]
    """Moves the networks by a batch of crops; returns the loss."""
    optimizer: torch.optim.Optimizer
    parameters: Mapping[str, nn.Parameter]
    """The student's, under our names."""

    def first_step(self, crops: Sequence[Tensor]) -> Numbers:
        """Loss and clipped gradients of the step from the initial weights."""
        loss = float(self.step(crops))
        return Numbers(
            loss=loss,
            gradients=gradients_of_first_step(self.optimizer, self.parameters.items()),
        )


def our_side(
    architecture: ArchitectureConfig, config: PretrainConfig, precision: Precision
) -> Side:
    """The step as `dino pretrain` takes it on the processor."""
    torch.set_num_threads(cores())
    networks = build_student_teacher(architecture, config.head, SEED)
    optimizer = build_optimizer(networks.student, config.optimizer)
    stepper = Stepper(
        networks,
        Center(config.head.out_dim, config.loss.center_momentum),
        optimizer,
        config,
        precision,
        shards=shards_for(networks.student, CPU, config),
    )
    # the last layer moves too
    epoch = config.optimizer.freeze_last_layer_epochs
    return Side(
        step=lambda crops: stepper.step(crops, epoch, VALUES).loss,
        optimizer=optimizer,
        parameters=dict(networks.student.named_parameters()),
    )


def textbook_side(
    architecture: ArchitectureConfig, config: PretrainConfig, *, bf16: bool = False
) -> Side:
    """The same step, written plainly; `bf16` is the framework's autocast."""
    torch.set_num_threads(cores())
    networks = build_student_teacher(architecture, config.head, SEED)
    training = Training(networks.student.state_dict(), architecture, config, bf16=bf16)
    epoch = config.optimizer.freeze_last_layer_epochs
    return Side(
        step=lambda crops: training.step(
            crops,
            epoch=epoch,
            learning_rate=VALUES.learning_rate,
            weight_decay=VALUES.weight_decay,
            teacher_momentum=VALUES.teacher_momentum,
            teacher_temperature=VALUES.teacher_temperature,
        ),
        optimizer=training.optimizer,
        parameters=dict(named_as_ours(training.student)),
    )


def random_crops(config: PretrainConfig) -> list[Tensor]:
    """A batch of normalised crops of noise, the two global ones first."""
    generator = torch.Generator().manual_seed(SEED)
    sizes_px = [config.crops.global_size_px] * 2
    sizes_px += [config.crops.local_size_px] * config.crops.local_crops
    return [
        torch.randn(config.batch_size, 3, side_px, side_px, generator=generator)
        for side_px in sizes_px
    ]
