"""Squared distance between what the teacher and the student see in two crops of one image."""

import dataclasses

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from dino.objective.dino_loss import DinoLoss, dino_loss
from dino.objective.views import GLOBAL_CROPS, pair_count, teachers_of_views


def mse_loss(
    student_scores: Float[Tensor, "student_rows prototypes"],
    teacher_scores: Float[Tensor, "teacher_rows prototypes"],
    teacher_probabilities: Float[Tensor, "teacher_rows prototypes"],
    student_temperature: float,
) -> DinoLoss:
    """Mean squared distance between L2-normalised scores, 2 − 2·cos, over the pairs of `dino_loss`.

    As BYOL has it (paper: table 7, rows with MSE): between 0 and 4, without center or temperature.
    Probabilities and temperature serve the telemetry alone: it says the same as with `dino_loss`,
    so that a collapse shows in the same numbers.
    """
    with torch.no_grad():
        seen = dino_loss(student_scores, teacher_probabilities, student_temperature)
    teachers = F.normalize(_wide(teacher_scores.detach()), dim=-1).unflatten(0, (GLOBAL_CROPS, -1))
    students = F.normalize(_wide(student_scores), dim=-1).unflatten(0, (-1, teachers.shape[1]))
    other, both = teachers_of_views(teachers)
    cosines = (students[:GLOBAL_CROPS] * other).sum() + (students[GLOBAL_CROPS:] * both).sum()
    return dataclasses.replace(seen, loss=2 - 2 * cosines / pair_count(students))


def _wide(scores: Tensor) -> Tensor:
    return scores.to(torch.promote_types(scores.dtype, torch.float32))
