"""Cross-entropy between what the teacher and the student see in two crops of one image."""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from dino.objective.views import GLOBAL_CROPS, blocks, pair_count, teachers_of_views


@dataclass(frozen=True, kw_only=True)
class DinoLoss:
    """The loss of one batch, and the numbers that show a collapse; entropies in nats.

    Everything is a mean over rows: parts of a batch, and processes, are joined by averaging.
    """

    loss: Float[Tensor, ""]
    kl: Float[Tensor, ""]
    """Mean KL(teacher‖student) over the pairs of views: 0 when the student has nothing left to
    learn, as in either collapse.
    """
    teacher_entropy: Float[Tensor, ""]
    """Mean entropy of the teacher's distributions: ln K when uniform, 0 when one-hot."""
    mean_distribution: Float[Tensor, " prototypes"]
    """The mean of the teacher's distributions over the rows."""

    @property
    def prototype_share(self) -> Float[Tensor, ""]:
        """Mean probability of the largest prototype: near 1 in a one-dimensional collapse, 1/K
        when all prototypes are used alike.
        """
        return self.mean_distribution.amax()


def dino_loss(
    student_scores: Float[Tensor, "student_rows prototypes"],
    teacher_probabilities: Float[Tensor, "teacher_rows prototypes"],
    student_temperature: float,
) -> DinoLoss:
    """Mean cross-entropy over the ordered pairs (teacher view, student view) of different views.

    Rows are crop-major, the two global crops first: n crops give 2(n − 1) pairs, 18 for 10 crops
    (paper: equation 3). Scores in half precision are computed with in float32. No gradient flows
    to the teacher, and there is no second derivative.
    """
    teachers = teacher_probabilities.detach().unflatten(0, (GLOBAL_CROPS, -1))
    students = student_scores.unflatten(0, (-1, teachers.shape[1]))
    loss, entropy, mean = _PairedCrossEntropy.apply(students, teachers, student_temperature)
    return DinoLoss(
        loss=loss,
        kl=loss.detach() - entropy,
        teacher_entropy=entropy,
        mean_distribution=mean,
    )


class _PairedCrossEntropy(torch.autograd.Function):
    """The loss, and the teacher's mean entropy and distribution, in one pass over the scores.

    Since H(q, p) is linear in q, a student view needs one product with the sum of its teachers
    instead of one a pair. Nothing as large as the scores is kept for the gradient: computing the
    softmax again, where the block lies in the cache anyway, costs less than to write and read it.
    """

    @staticmethod
    def forward(
        ctx: Any, students: Tensor, teachers: Tensor, temperature: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        ctx.save_for_backward(students, teachers)
        ctx.temperature = temperature
        dtype = _arithmetic(students, teachers)
        inverse = 1 / temperature
        mean = teachers.new_zeros(teachers.shape[-1], dtype=dtype)
        # summed at once: what lived on between the blocks would break up the memory they reuse
        log_likelihood = teachers.new_zeros((), dtype=torch.float64)
        negative_entropy = teachers.new_zeros((), dtype=torch.float64)
        for images, views in blocks(students):
            q = teachers[:, images].to(dtype)
            targets = teachers_of_views(q)
            mean += targets[-1].sum(dim=0)
            for view in views:
                target = targets[view.start > 0]
                log_p = F.log_softmax(students[view, images].to(dtype) * inverse, dim=-1)
                log_likelihood += log_p.mul_(target).sum()
            # log of the smallest number where q is 0; torch.special.entr is many times slower
            log_q = q.clamp_min(torch.finfo(dtype).tiny).log_()
            negative_entropy += log_q.mul_(q).sum()
        rows = GLOBAL_CROPS * teachers.shape[1]
        loss = (log_likelihood / -pair_count(students)).to(dtype)
        entropy = (negative_entropy / -rows).to(dtype)
        mean /= rows
        ctx.mark_non_differentiable(entropy, mean)
        return loss, entropy, mean

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        if torch.is_grad_enabled():
            # once_differentiable would take the gradient for a constant without a word
            raise RuntimeError("dino_loss has no second derivative: expected create_graph=False")
        students, teachers = ctx.saved_tensors
        dtype = _arithmetic(students, teachers)
        inverse = 1 / ctx.temperature
        scale = gradients[0] * (-inverse / pair_count(students))
        result = torch.empty_like(students)
        for images, views in blocks(students):
            # scaled before the gradient is rounded: what fp16 multiplies the loss by must count
            targets = teachers_of_views(teachers[:, images].to(dtype) * scale)
            totals = [-target.sum(dim=-1, keepdim=True) for target in targets]
            for view in views:
                local = view.start > 0
                p = F.softmax(students[view, images].to(dtype) * inverse, dim=-1)
                torch.addcmul(targets[local], p, totals[local], out=result[view, images])
        return result, None, None


def _arithmetic(students: Tensor, teachers: Tensor) -> torch.dtype:
    """The type to compute in: float64 if one of the two has it, else float32."""
    return torch.promote_types(torch.promote_types(students.dtype, teachers.dtype), torch.float32)
