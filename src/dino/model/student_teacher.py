"""The two networks of DINO: a student that learns and a teacher that follows it."""

import copy
from collections.abc import Sequence
from itertools import groupby

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dino.core.configuration.architecture import ArchitectureConfig
from dino.core.configuration.pretrain import HeadConfig
from dino.core.seeding import seeded
from dino.model.backbone import build_backbone
from dino.model.head import DinoHead


class MultiCropNetwork(nn.Module):
    """A backbone and a head over crops of several sizes."""

    def __init__(self, backbone: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head

    def forward(
        self, crops: Sequence[Float[Tensor, "_batch 3 _height _width"]]
    ) -> Float[Tensor, "student_rows prototypes"]:
        """Scores of the prototypes, all images of the first crop before those of the second.

        Neighbouring crops of one size go through the backbone together. Departure: the reference
        groups by width alone and cannot stack crops that differ in height.
        """
        features = [
            self.backbone(torch.cat(list(group)))
            for _, group in groupby(crops, key=lambda crop: crop.shape[-2:])
        ]
        return self.head(torch.cat(features))


class StudentTeacher(nn.Module):
    """A student and a teacher that starts equal to it and has no gradient."""

    def __init__(self, student: MultiCropNetwork, teacher: MultiCropNetwork) -> None:
        super().__init__()
        self.student = student
        self.teacher = teacher
        # the teacher's drop path and prototypes' flags are its own: only values are copied
        teacher.load_state_dict(student.state_dict())
        teacher.requires_grad_(False)

    @torch.no_grad()
    def update_teacher(self, momentum: float) -> None:
        """θt ← m·θt + (1 − m)·θs over all parameters (paper: section 3.1).

        Buffers are not averaged: BatchNorm statistics come from the teacher's own forwards.
        """
        torch._foreach_lerp_(
            list(self.teacher.parameters()), list(self.student.parameters()), 1.0 - momentum
        )


def initial_backbone(architecture: ArchitectureConfig, seed: int) -> nn.Module:
    """The backbone that student and teacher of `seed` start from."""
    with seeded(seed):
        return build_backbone(architecture)


def build_student_teacher(
    architecture: ArchitectureConfig, head: HeadConfig, seed: int
) -> StudentTeacher:
    """The networks before step 0; equal seeds give equal weights."""
    with seeded(seed):
        # the backbone first: its weights must not depend on the head, see initial_backbone
        backbone = build_backbone(architecture, drop_path=architecture.drop_path)
        student = MultiCropNetwork(backbone, DinoHead(feature_dim(backbone), head))
        # built, not copied, since the teacher has no drop path
        teacher = MultiCropNetwork(build_backbone(architecture), copy.deepcopy(student.head))
    return StudentTeacher(student, teacher)


def feature_dim(backbone: nn.Module) -> int:
    """The width of the features that a backbone returns."""
    return int(backbone.num_features)  # type: ignore[arg-type]
