"""Cross-entropy between what the teacher and the student see in two crops of one image."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

GLOBAL_CROPS = 2


@dataclass(frozen=True, kw_only=True)
class DinoLoss:
    """The loss of one batch and what tells a collapse; scalars in nats."""

    loss: Float[Tensor, ""]
    teacher_entropy: Float[Tensor, ""]
    """Mean entropy of the teacher's distributions: ln K when uniform, 0 when one-hot."""

    @property
    def kl(self) -> Tensor:
        """Mean KL(teacher‖student) over the pairs of views: 0 when the student has nothing
        left to learn, as in either collapse.
        """
        return self.loss.detach() - self.teacher_entropy


def teacher_distribution(
    scores: Float[Tensor, "rows prototypes"],
    center: Float[Tensor, "1 prototypes"],
    temperature: float,
) -> Float[Tensor, "rows prototypes"]:
    """softmax((scores − center) / temperature) in float32: centred, then sharpened."""
    return F.softmax((scores.float() - center) / temperature, dim=-1)


def dino_loss(
    student_scores: Float[Tensor, "student_rows prototypes"],
    teacher_probabilities: Float[Tensor, "teacher_rows prototypes"],
    student_temperature: float,
) -> DinoLoss:
    """Mean cross-entropy over the ordered pairs (teacher view, student view) of different views.

    Rows are crop-major, the two global crops first: n crops give 2(n − 1) pairs, 18 for 10 crops
    (paper: equation 3). Since H(q, p) is linear in log p, the sum over the pairs of a student
    view needs one product with the sum of its teachers instead of one product a pair.
    """
    q = teacher_probabilities.unflatten(0, (GLOBAL_CROPS, -1))  # 2 batch K
    log_p = F.log_softmax(student_scores.float() / student_temperature, dim=-1)
    log_p = log_p.unflatten(0, (-1, q.shape[1]))  # crops batch K
    crops, batch, _ = log_p.shape
    both = q.sum(dim=0)
    # a global view learns from the other one alone, a local view from both
    total = (q.flip(0) * log_p[:GLOBAL_CROPS]).sum() + (both * log_p[GLOBAL_CROPS:]).sum()
    pairs = GLOBAL_CROPS * (crops - 1)
    entropy = torch.special.entr(teacher_probabilities).sum(dim=-1).mean()
    return DinoLoss(loss=-total / (pairs * batch), teacher_entropy=entropy.detach())
