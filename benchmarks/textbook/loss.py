"""The loss as the paper's pseudocode has it: one pair of views after the other."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

GLOBAL_CROPS = 2


def loss_of_pairs(
    student_scores: Float[Tensor, "student_rows prototypes"],
    teacher_scores: Float[Tensor, "teacher_rows prototypes"],
    center: Float[Tensor, "1 prototypes"],
    *,
    student_temperature: float,
    teacher_temperature: float,
) -> Float[Tensor, ""]:
    """Mean cross-entropy over the pairs (teacher view, student view) of different views."""
    batch = len(teacher_scores) // GLOBAL_CROPS
    students = (student_scores.float() / student_temperature).split(batch)
    teachers = F.softmax((teacher_scores.float() - center) / teacher_temperature, dim=-1)
    total, pairs = torch.zeros(()), 0
    for i, q in enumerate(teachers.detach().split(batch)):
        for j, student in enumerate(students):
            if i == j:
                continue
            total = total + torch.sum(-q * F.log_softmax(student, dim=-1), dim=-1).mean()
            pairs += 1
    return total / pairs


@torch.no_grad()
def moved_center(
    center: Float[Tensor, "1 prototypes"],
    teacher_scores: Float[Tensor, "teacher_rows prototypes"],
    momentum: float,
) -> Float[Tensor, "1 prototypes"]:
    """c ← m·c + (1 − m)·mean of the teacher's scores."""
    mean = teacher_scores.float().mean(dim=0, keepdim=True)
    return center * momentum + mean * (1 - momentum)
