"""How many floating-point operations the model's products take, counted rather than timed."""

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.textbook.loss import loss_of_pairs
from benchmarks.textbook.network import network_like
from dino.core.configuration.architecture import ArchitectureConfig
from dino.core.configuration.pretrain import PretrainConfig
from dino.model.student_teacher import build_student_teacher


def flops_per_image(architecture: ArchitectureConfig, config: PretrainConfig) -> int:
    """FLOPs of the matrix products and convolutions that one image needs in a training step.

    Student forward and backward on all crops, teacher forward on the two global ones; a
    multiplication and an addition are two. What is independent of the batch is not counted.
    """
    crops_config = config.crops
    networks = build_student_teacher(architecture, config.head, seed=0)
    network = network_like(networks.student.state_dict(), architecture, config.head)
    # nothing is computed there: shapes alone are counted
    network = network.to("meta")
    with torch.device("meta"):
        crops = [
            torch.empty(1, 3, side_px, side_px)
            for side_px, count in (
                (crops_config.global_size_px, 2),
                (crops_config.local_size_px, crops_config.local_crops),
            )
            for _ in range(count)
        ]
        with FlopCounterMode(display=False) as counter:
            with torch.no_grad():
                teacher_scores = network(crops[:2])
            loss = loss_of_pairs(
                network(crops),
                teacher_scores,
                torch.zeros(1, config.head.out_dim),
                student_temperature=config.loss.student_temperature,
                teacher_temperature=config.loss.teacher_temperature,
            )
            loss.backward()
    return counter.get_total_flops()
