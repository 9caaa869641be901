"""Loss forward and backward over all pairs of views: time and peak memory."""

import statistics
from collections.abc import Callable, Collection
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from benchmarks.agreement import FLOAT32, Numbers, assert_agreement
from benchmarks.machine import cores
from benchmarks.memory import peak, reset_peak
from benchmarks.textbook.loss import GLOBAL_CROPS, loss_of_pairs
from benchmarks.timing import interleaved_seconds, medians, spread
from dino.core.configuration.pretrain import LossConfig
from dino.objective.dino_loss import dino_loss
from dino.objective.teacher_distribution import teacher_distribution

CROPS, BATCH, PROTOTYPES = 10, 64, 65536
ROUNDS = 31
PROCESSES = 3
"""Of each side, for the memory: one measurement a process."""
TEMPERATURES = LossConfig()

Shape = tuple[int, int, int]
"""crops, batch, prototypes"""


@dataclass(frozen=True, kw_only=True)
class Scores:
    """What the loss is computed from, rows crop-major."""

    student: Float[Tensor, "student_rows prototypes"]
    teacher: Float[Tensor, "teacher_rows prototypes"]
    center: Float[Tensor, "1 prototypes"]


Side = Callable[[], tuple[Tensor, list[Tensor]]]
"""Forward and backward: the loss and its gradients with respect to the student's scores, one
tensor for each part of the batch.
"""


def our_side(scores: Scores) -> Side:
    """The loss as the training step computes it: a part of the batch in each of `cores` threads."""
    parts = parts_of(scores, cores())
    threads = ThreadPoolExecutor(len(parts), initializer=lambda: torch.set_num_threads(1))

    def part(scores: Scores) -> tuple[Tensor, Tensor]:
        q = teacher_distribution(scores.teacher, scores.center, TEMPERATURES.teacher_temperature)
        loss = dino_loss(scores.student, q, TEMPERATURES.student_temperature).loss / len(parts)
        (gradient,) = torch.autograd.grad(loss, scores.student)
        return loss.detach(), gradient

    def run() -> tuple[Tensor, list[Tensor]]:
        losses, gradients = zip(*threads.map(part, parts), strict=True)
        return torch.stack(losses).sum(), list(gradients)

    return run


def textbook_side(scores: Scores) -> Side:
    """One log-softmax for each pair of views."""

    def run() -> tuple[Tensor, list[Tensor]]:
        loss = loss_of_pairs(
            scores.student,
            scores.teacher,
            scores.center,
            student_temperature=TEMPERATURES.student_temperature,
            teacher_temperature=TEMPERATURES.teacher_temperature,
        )
        return loss.detach(), list(torch.autograd.grad(loss, scores.student))

    return run


SIDES: dict[str, Callable[[Scores], Side]] = {"ours": our_side, "textbook": textbook_side}


def measure(
    names: Collection[str],
    rounds: int = ROUNDS,
    crops: int = CROPS,
    batch: int = BATCH,
    prototypes: int = PROTOTYPES,
) -> dict[str, Any]:
    """loss_time and loss_memory, whichever is in `names`."""
    shape = (crops, batch, prototypes)
    results = {}
    if "loss_time" in names:
        results["loss_time"] = _times(shape, rounds)
    if "loss_memory" in names:
        results["loss_memory"] = _memory(shape, PROCESSES)
    return results


def _times(shape: Shape, rounds: int) -> dict[str, Any]:
    torch.set_num_threads(cores())
    scores = random_scores(*shape)
    sides = {name: side(scores) for name, side in SIDES.items()}
    differences = assert_agreement(
        "loss", *(numbers_of(sides[name], shape) for name in ("ours", "textbook")), FLOAT32
    )
    seconds = interleaved_seconds(sides, rounds)
    times = medians(seconds)
    return {
        "ratio": times["textbook"] / times["ours"],
        "ours_s": times["ours"],
        "textbook_s": times["textbook"],
        "ours_spread": spread(seconds["ours"]),
        "textbook_spread": spread(seconds["textbook"]),
        "rounds": rounds,
        **differences,
    }


def _memory(shape: Shape, processes: int) -> dict[str, Any]:
    peaks: dict[str, list[int]] = {name: [] for name in SIDES}
    for _ in range(processes):
        for name, values in peaks.items():
            # a new process each time: an allocator that was used before hides what is needed
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
                values.append(pool.submit(peak_bytes, name, shape).result())
    medians_of = {name: statistics.median(values) for name, values in peaks.items()}
    student_bytes = 4 * shape[0] * shape[1] * shape[2]
    return {
        "ratio": medians_of["textbook"] / medians_of["ours"],
        "ours_mib": medians_of["ours"] / 2**20,
        "textbook_mib": medians_of["textbook"] / 2**20,
        "ours_spread": (max(peaks["ours"]) - min(peaks["ours"])) / medians_of["ours"],
        "textbook_spread": (max(peaks["textbook"]) - min(peaks["textbook"]))
        / medians_of["textbook"],
        "student_scores_mib": student_bytes / 2**20,
        "processes": processes,
    }


def peak_bytes(name: str, shape: Shape) -> int:
    """How far a process's memory rises above its inputs in one forward and backward pass.

    The gradient of the student's scores, which every implementation has to return, is included.
    """
    torch.set_num_threads(cores())
    # code and threads are loaded before the memory is looked at
    SIDES[name](random_scores(shape[0], cores(), 128))()
    run = SIDES[name](random_scores(*shape))
    before = reset_peak()
    run()
    return peak() - before


def random_scores(crops: int, batch: int, prototypes: int) -> Scores:
    """Small ones of either sign, as cosines are, and a center."""
    generator = torch.Generator().manual_seed(0)
    student = torch.randn(crops * batch, prototypes, generator=generator).mul_(0.2)
    teacher = torch.randn(GLOBAL_CROPS * batch, prototypes, generator=generator).mul_(0.2)
    center = torch.randn(1, prototypes, generator=generator).mul_(0.02)
    return Scores(student=student.requires_grad_(), teacher=teacher, center=center)


def parts_of(scores: Scores, count: int) -> list[Scores]:
    """Equal parts of the batch, each with all views of its images."""
    batch = len(scores.teacher) // GLOBAL_CROPS
    assert batch % count == 0

    def split(rows: Tensor) -> list[Tensor]:
        parts = rows.detach().unflatten(0, (-1, batch)).chunk(count, dim=1)
        return [part.flatten(0, 1) for part in parts]

    return [
        Scores(student=student.requires_grad_(), teacher=teacher, center=scores.center)
        for student, teacher in zip(split(scores.student), split(scores.teacher), strict=True)
    ]


def numbers_of(side: Side, shape: Shape) -> Numbers:
    """Loss and gradient, in the order of the whole batch."""
    loss, gradients = side()
    views = [gradient.unflatten(0, (shape[0], -1)) for gradient in gradients]
    return Numbers(loss=float(loss), gradients={"student_scores": torch.cat(views, dim=1)})
