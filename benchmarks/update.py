"""Clipping, optimizer and moving average of a ViT-S with 65,536 prototypes."""

from collections.abc import Callable, Collection
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from benchmarks.agreement import gradient_differences
from benchmarks.errors import BenchmarkError
from benchmarks.machine import cores
from benchmarks.textbook.network import named_as_ours, network_like
from benchmarks.textbook.update import build_adamw, move_teacher
from benchmarks.textbook.update import clip_each as clip_one_by_one
from benchmarks.timing import interleaved_seconds, medians, spread
from benchmarks.vit_small import ARCHITECTURE, CONFIG, SEED
from dino.core.configuration.architecture import ArchitectureConfig
from dino.core.configuration.pretrain import PretrainConfig
from dino.model.student_teacher import build_student_teacher
from dino.optim.gradients import clip_each
from dino.optim.parameter_groups import build_optimizer, set_step_values
from dino.training.schedules import StepValues

ROUNDS = 25
# large steps, so that an error of either network would show in its weights
VALUES = StepValues(
    learning_rate=0.01, weight_decay=0.04, teacher_momentum=0.9, teacher_temperature=0.04
)
CHECKED_UPDATES = 3
"""The first moves by the gradients' signs alone."""
TOLERANCE = 1e-5


class Side(NamedTuple):
    """One implementation of the update."""

    update: Callable[[], None]
    student: dict[str, nn.Parameter]
    teacher: dict[str, nn.Parameter]


def measure(
    names: Collection[str],
    rounds: int = ROUNDS,
    architecture: ArchitectureConfig = ARCHITECTURE,
    config: PretrainConfig = CONFIG,
) -> dict[str, Any]:
    """The result `update`."""
    torch.set_num_threads(cores())
    sides = {
        "ours": _our_side(architecture, config),
        "textbook": _textbook_side(architecture, config),
    }
    generator = torch.Generator().manual_seed(SEED)
    for _ in range(CHECKED_UPDATES):
        _set_gradients(sides, generator)
        for side in sides.values():
            side.update()
    difference = _assert_equal(sides)
    seconds = interleaved_seconds({name: side.update for name, side in sides.items()}, rounds)
    times = medians(seconds)
    return {
        "update": {
            "ratio": times["textbook"] / times["ours"],
            "ours_s": times["ours"],
            "textbook_s": times["textbook"],
            "ours_spread": spread(seconds["ours"]),
            "textbook_spread": spread(seconds["textbook"]),
            "rounds": rounds,
            "parameter_difference": difference,
            "tolerance": TOLERANCE,
        }
    }


def _our_side(architecture: ArchitectureConfig, config: PretrainConfig) -> Side:
    networks = build_student_teacher(architecture, config.head, SEED)
    optimizer = build_optimizer(networks.student, config.optimizer)
    set_step_values(optimizer, VALUES.learning_rate, VALUES.weight_decay)
    trainable = [p for p in networks.student.parameters() if p.requires_grad]

    def update() -> None:
        clip_each(trainable, config.optimizer.clip_norm)
        optimizer.step()
        networks.update_teacher(VALUES.teacher_momentum)

    return Side(
        update=update,
        student=dict(networks.student.named_parameters()),
        teacher=dict(networks.teacher.named_parameters()),
    )


def _textbook_side(architecture: ArchitectureConfig, config: PretrainConfig) -> Side:
    weights = build_student_teacher(architecture, config.head, SEED).student.state_dict()
    student = network_like(weights, architecture, config.head)
    teacher = network_like(weights, architecture, config.head).requires_grad_(False)
    optimizer = build_adamw(student)
    set_step_values(optimizer, VALUES.learning_rate, VALUES.weight_decay)

    def update() -> None:
        clip_one_by_one(student.parameters(), config.optimizer.clip_norm)
        optimizer.step()
        move_teacher(teacher, student, VALUES.teacher_momentum)

    return Side(
        update=update,
        student=dict(named_as_ours(student)),
        teacher=dict(named_as_ours(teacher)),
    )


def _set_gradients(sides: dict[str, Side], generator: torch.Generator) -> None:
    for name, parameter in sides["ours"].student.items():
        if parameter.requires_grad:
            # some of them are clipped, as in a training
            gradient = torch.randn(parameter.shape, generator=generator) / 100
            for side in sides.values():
                side.student[name].grad = gradient.clone()


def _assert_equal(sides: dict[str, Side]) -> float:
    """The largest relative difference of a parameter; raises `BenchmarkError` for more than
    rounding.
    """

    def all_parameters(side: Side) -> dict[str, Tensor]:
        teacher = {f"teacher.{name}": p for name, p in side.teacher.items()}
        return {**side.student, **teacher}

    found = gradient_differences(all_parameters(sides["ours"]), all_parameters(sides["textbook"]))
    if not found["tensor_difference"] <= TOLERANCE:
        raise BenchmarkError(
            f"update: the sides disagree: parameters differ by {found['tensor_difference']:.2g}, "
            f"expected at most {TOLERANCE}"
        )
    return found["tensor_difference"]
