import pytest
import torch
from tiny_training import ARCHITECTURE, CONFIG

from dino.core.errors import CollapseError
from dino.model.student_teacher import build_student_teacher
from dino.objective.center import Center
from dino.optim.parameter_groups import build_optimizer
from dino.training.step import Schedules, Stepper, StepValues


def test_a_loss_that_is_not_finite_stops_before_anything_moves():
    networks = build_student_teacher(ARCHITECTURE, CONFIG.head, seed=0)
    center = Center(CONFIG.head.out_dim, 0.9)
    optimizer = build_optimizer(networks.student, CONFIG.optimizer)
    stepper = Stepper(networks, center, optimizer, CONFIG, "float32")
    before = {name: tensor.clone() for name, tensor in networks.state_dict().items()}
    crops = [torch.full((2, 3, 8, 8), torch.nan)] * 2
    with pytest.raises(CollapseError, match="the loss is nan in epoch 1"):
        stepper.step(crops, 1, Schedules(CONFIG, 4).at(5))
    assert all(torch.equal(before[n], t) for n, t in networks.state_dict().items())
    assert center.value.abs().max() == 0


def test_a_student_learns_what_a_teacher_that_stays_says():
    networks = build_student_teacher(ARCHITECTURE, CONFIG.head, seed=0)
    optimizer = build_optimizer(networks.student, CONFIG.optimizer)
    center = Center(CONFIG.head.out_dim, momentum=1.0)
    stepper = Stepper(networks, center, optimizer, CONFIG, "float32")
    generator = torch.Generator().manual_seed(0)
    crops = [torch.randn(8, 3, 8, 8, generator=generator) for _ in range(2)]
    values = StepValues(
        learning_rate=0.003, weight_decay=0.0, teacher_momentum=1.0, teacher_temperature=0.07
    )
    losses = [stepper.step(crops, 1, values).loss for _ in range(60)]
    assert losses[-1].teacher_entropy.item() == pytest.approx(losses[0].teacher_entropy.item())
    assert losses[-1].kl.item() < 0.5 * losses[0].kl.item()


def test_the_last_layer_stays_while_it_is_frozen():
    networks = build_student_teacher(ARCHITECTURE, CONFIG.head, seed=0)
    center = Center(CONFIG.head.out_dim, 0.9)
    optimizer = build_optimizer(networks.student, CONFIG.optimizer)
    stepper = Stepper(networks, center, optimizer, CONFIG, "float32")
    prototypes = networks.student.head.last_layer.weight_v
    before = prototypes.clone()
    crops = [torch.randn(4, 3, 8, 8), torch.randn(4, 3, 8, 8), torch.randn(4, 3, 4, 4)]
    schedules = Schedules(CONFIG, 4)
    stepper.step(crops, 0, schedules.at(3))
    assert torch.equal(prototypes, before)
    stepper.step(crops, 1, schedules.at(4))
    assert not torch.equal(prototypes, before)
