"""One optimizer step of DINO, written as the paper's algorithm 1 reads."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from benchmarks.textbook.loss import GLOBAL_CROPS, loss_of_pairs, moved_center
from benchmarks.textbook.network import network_like
from benchmarks.textbook.update import build_adamw, clip_each, move_teacher
from dino.core.configuration.architecture import ArchitectureConfig
from dino.core.configuration.pretrain import PretrainConfig


class Training:
    """Student, teacher, center and AdamW; bf16 is the framework's autocast."""

    def __init__(
        self,
        weights: Mapping[str, Tensor],
        architecture: ArchitectureConfig,
        config: PretrainConfig,
        *,
        bf16: bool = False,
    ) -> None:
        """`weights` is the state that our student starts from."""
        self.config = config
        self.bf16 = bf16
        self.student = network_like(weights, architecture, config.head)
        self.teacher = network_like(weights, architecture, config.head).requires_grad_(False)
        self.center = torch.zeros(1, config.head.out_dim)
        self.optimizer = build_adamw(self.student)

    def step(
        self,
        crops: Sequence[Float[Tensor, "batch 3 _h _w"]],
        *,
        epoch: int,
        learning_rate: float,
        weight_decay: float,
        teacher_momentum: float,
        teacher_temperature: float,
    ) -> Float[Tensor, ""]:
        """The loss before the networks moved by this batch of crops, the two global ones first."""
        config = self.config
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        self.optimizer.param_groups[0]["weight_decay"] = weight_decay

        with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            with torch.no_grad():
                teacher_scores = self.teacher(crops[:GLOBAL_CROPS])
            student_scores = self.student(crops)
        loss = loss_of_pairs(
            student_scores,
            teacher_scores,
            self.center,
            student_temperature=config.loss.student_temperature,
            teacher_temperature=teacher_temperature,
        )
        self.optimizer.zero_grad()
        loss.backward()
        clip_each(self.student.parameters(), config.optimizer.clip_norm)
        if epoch < config.optimizer.freeze_last_layer_epochs:
            for parameter in self.student.head.last_layer.parameters():
                parameter.grad = None
        self.optimizer.step()
        move_teacher(self.teacher, self.student, teacher_momentum)
        self.center = moved_center(self.center, teacher_scores, config.loss.center_momentum)
        return loss.detach()
