"""The two networks of DINO: a student that learns and a teacher that follows it."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from itertools import groupby
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dino.core.configuration.architecture import ArchitectureConfig
from dino.core.configuration.pretrain import HeadConfig
from dino.core.errors import ConfigurationError
from dino.core.seeding import seeded
from dino.model.backbone import build_backbone
from dino.model.drop_path import (
    DropPathKey,
    drop_path_factors,
    drop_probabilities,
    replace_drop_path,
)
from dino.model.head import DinoHead

Crop = Float[Tensor, "_batch 3 _height _width"]


class MultiCropNetwork(nn.Module):
    """A backbone and a head over crops of several sizes."""

    def __init__(self, backbone: nn.Module, head: DinoHead) -> None:
        """The drop paths of `backbone`, if any, are replaced by keyed ones."""
        super().__init__()
        self.backbone = backbone
        self.head = head
        replace_drop_path(backbone)
        self._drop_probabilities = drop_probabilities(backbone)

    def forward(
        self, crops: Sequence[Crop], drop_path_key: DropPathKey | None = None
    ) -> Float[Tensor, "student_rows prototypes"]:
        """Scores of the prototypes, in the order of `features`."""
        scores: Tensor = self.head(self.features(crops, drop_path_key))
        return scores

    def features(
        self, crops: Sequence[Crop], drop_path_key: DropPathKey | None = None
    ) -> Float[Tensor, "student_rows dim"]:
        """Features of the backbone, all images of the first crop before those of the second.

        Neighbouring crops of one size go through the backbone together. Departure: the reference
        groups by width alone and cannot stack crops that differ in height. A network that trains
        with drop path needs the key that its choices depend on; the crop in it is the place in
        `crops`.
        """
        features = []
        for _, group in groupby(enumerate(crops), key=lambda item: item[1].shape[-2:]):
            numbers, images = zip(*group, strict=True)
            with self._drop_paths(drop_path_key, numbers, images[0].device):
                features.append(self.backbone(torch.cat(images)))
        return torch.cat(features)

    def _drop_paths(
        self, key: DropPathKey | None, crops: Sequence[int], device: torch.device
    ) -> AbstractContextManager[None]:
        if key is None or not self._drop_probabilities:
            return nullcontext()
        return drop_path_factors(key, crops, self._drop_probabilities, device)


class StudentTeacher(nn.Module):
    """A student, and a teacher that has no gradient."""

    def __init__(self, student: MultiCropNetwork, teacher: MultiCropNetwork) -> None:
        super().__init__()
        self.student = student
        self.teacher = teacher
        teacher.requires_grad_(False)

    def start_teacher(self) -> None:
        """Make the teacher equal to the student, BatchNorm statistics included.

        The predictor is the student's alone.
        """
        student = self.student.state_dict()
        self.teacher.load_state_dict({name: student[name] for name in self.teacher.state_dict()})

    @torch.no_grad()
    def update_teacher(self, momentum: float) -> None:
        """θt ← m·θt + (1 − m)·θs over all parameters of the teacher (paper: section 3.1).

        Buffers are not averaged: BatchNorm statistics come from the teacher's own forwards.
        """
        torch._foreach_lerp_(*self.parameter_pairs(), 1.0 - momentum)

    @torch.no_grad()
    def copy_student_to_teacher(self) -> None:
        """θt ← θs over all parameters of the teacher; buffers as in `update_teacher`."""
        torch._foreach_copy_(*self.parameter_pairs())

    def parameter_pairs(self) -> tuple[list[Tensor], list[Tensor]]:
        """The teacher's parameters, and the student's of the same names."""
        student = dict(self.student.named_parameters())
        teacher = dict(self.teacher.named_parameters())
        return list(teacher.values()), [student[name] for name in teacher]


class TeacherUpdate:
    """How the teacher follows the student, whatever its kind (paper: section 5.2).

    `before_step` and `after_step` stand around the optimizer's step; one that was undone has no
    `after_step`, and then the teacher has not moved.
    """

    def __init__(
        self,
        networks: StudentTeacher,
        kind: Literal["momentum", "student_copy", "previous_iteration", "previous_epoch", "fixed"],
    ) -> None:
        self._networks = networks
        self._kind = kind
        self._before: list[Tensor] = []
        """The student before the optimizer's step; for the previous iteration's teacher alone."""

    @torch.no_grad()
    def before_step(self) -> None:
        """To be called when the optimizer has not moved the student yet."""
        if self._kind != "previous_iteration":
            return
        _, student = self._networks.parameter_pairs()
        if self._before:
            torch._foreach_copy_(self._before, student)
        else:
            self._before = [parameter.clone() for parameter in student]

    @torch.no_grad()
    def after_step(self, momentum: float) -> None:
        """To be called when the optimizer has moved the student."""
        if self._kind == "momentum":
            self._networks.update_teacher(momentum)
        elif self._kind == "student_copy":
            self._networks.copy_student_to_teacher()
        elif self._kind == "previous_iteration":
            torch._foreach_copy_(list(self._networks.teacher.parameters()), self._before)

    def after_epoch(self) -> None:
        """To be called after the last step of an epoch, before a checkpoint is written."""
        if self._kind == "previous_epoch":
            self._networks.copy_student_to_teacher()


def initial_backbone(architecture: ArchitectureConfig, seed: int) -> nn.Module:
    """The backbone that student and teacher of `seed` start from."""
    with seeded(seed):
        return build_backbone(architecture)


def build_network(
    architecture: ArchitectureConfig, head: HeadConfig, drop_path: float = 0.0
) -> MultiCropNetwork:
    """A backbone and its head; the weights are drawn from torch's global generator."""
    # the backbone first: its weights must not depend on the head, see initial_backbone
    backbone = build_backbone(architecture, drop_path)
    return MultiCropNetwork(backbone, DinoHead(feature_dim(backbone), head))


def build_teacher(architecture: ArchitectureConfig, head: HeadConfig) -> MultiCropNetwork:
    """A network for a teacher's weights: without drop path and predictor."""
    return build_network(architecture, replace(head, predictor=False))


def build_student_teacher(
    architecture: ArchitectureConfig,
    head: HeadConfig,
    seed: int,
    teacher: MultiCropNetwork | None = None,
) -> StudentTeacher:
    """The networks before step 0; equal seeds give equal weights.

    The teacher starts equal to the student. A trained `teacher` of any architecture stays as it
    is, in evaluation mode: what it says of an image does not depend on the batch. Raises
    `ConfigurationError` when its head has another number of prototypes.
    """
    if teacher is not None and teacher.head.out_dim != head.out_dim:
        raise ConfigurationError(
            f"pretrain.teacher.checkpoint: expected a head of {head.out_dim} prototypes, as "
            f"pretrain.head.out_dim says, got {teacher.head.out_dim}"
        )
    with seeded(seed):
        student = build_network(architecture, head, architecture.drop_path)
        if teacher is not None:
            return StudentTeacher(student, teacher.eval())
        networks = StudentTeacher(student, build_teacher(architecture, head))
    networks.start_teacher()
    return networks


def feature_dim(backbone: nn.Module) -> int:
    """The width of the features that a backbone returns."""
    # some convnets have a wide layer between their last feature map and the classifier
    width = getattr(backbone, "head_hidden_size", None) or backbone.num_features
    return int(width)  # type: ignore[arg-type]
