import dataclasses

import pytest
import torch
from tiny_training import ARCHITECTURE, CONFIG

from dino.core.errors import CollapseError
from dino.model.student_teacher import build_student_teacher
from dino.objective.center import Center
from dino.optim.parameter_groups import build_optimizer
from dino.training.step import Schedules, Stepper, StepValues, shards_for


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


def test_shards_equal_the_whole_batch():
    generator = torch.Generator().manual_seed(0)
    sizes = (8, 8, 4, 4)
    crops = [torch.randn(7, 3, px, px, generator=generator) for px in sizes]
    outcomes = []
    for shards in (1, 2, 3):
        networks = build_student_teacher(ARCHITECTURE, CONFIG.head, seed=0)
        center = Center(CONFIG.head.out_dim, 0.9)
        # a step of plain gradient descent shows the gradients themselves
        config = dataclasses.replace(
            CONFIG, optimizer=dataclasses.replace(CONFIG.optimizer, name="sgd", clip_norm=0)
        )
        optimizer = build_optimizer(networks.student, config.optimizer)
        stepper = Stepper(networks, center, optimizer, config, "float32", shards=shards)
        result = stepper.step(crops, 1, Schedules(config, 4).at(5))
        outcomes.append((result, center.value, networks.student.state_dict()))
    whole, center, state = outcomes[0]
    for result, other_center, other_state in outcomes[1:]:
        torch.testing.assert_close(result.student_scores, whole.student_scores)
        torch.testing.assert_close(result.teacher_scores, whole.teacher_scores)
        torch.testing.assert_close(result.loss.loss, whole.loss.loss.detach())
        torch.testing.assert_close(result.loss.kl, whole.loss.kl)
        torch.testing.assert_close(other_center, center)
        for name, expected in state.items():
            torch.testing.assert_close(other_state[name], expected, rtol=1e-4, atol=1e-6)


def test_a_batch_may_have_fewer_images_than_there_are_cores():
    networks = build_student_teacher(ARCHITECTURE, CONFIG.head, seed=0)
    optimizer = build_optimizer(networks.student, CONFIG.optimizer)
    stepper = Stepper(networks, Center(24, 0.9), optimizer, CONFIG, "float32", shards=5)
    crops = [torch.randn(2, 3, px, px) for px in (8, 8, 4)]
    result = stepper.step(crops, 1, Schedules(CONFIG, 4).at(4))
    assert result.student_scores.shape == (6, 24)
    assert torch.isfinite(result.loss.loss)


def test_shards_give_the_same_bits_every_time():
    generator = torch.Generator().manual_seed(0)
    crops = [torch.randn(8, 3, px, px, generator=generator) for px in (8, 8, 4)]
    states = []
    for _ in range(3):
        networks = build_student_teacher(ARCHITECTURE, CONFIG.head, seed=0)
        stepper = Stepper(
            networks,
            Center(CONFIG.head.out_dim, 0.9),
            build_optimizer(networks.student, CONFIG.optimizer),
            CONFIG,
            "bf16",
            shards=2,
        )
        for step in range(4, 8):
            stepper.step(crops, 1, Schedules(CONFIG, 4).at(step))
        states.append(networks.state_dict())
    for state in states[1:]:
        assert all(torch.equal(state[name], states[0][name]) for name in state)


def test_networks_whose_images_meet_are_not_divided():
    plain = build_student_teacher(ARCHITECTURE, CONFIG.head, seed=0).student
    normed = build_student_teacher(
        ARCHITECTURE, dataclasses.replace(CONFIG.head, batch_norm=True), seed=0
    ).student
    processor = torch.device("cpu")
    assert shards_for(plain, processor, 0.0) == torch.get_num_threads()
    assert shards_for(plain, processor, 0.1) == 1
    assert shards_for(normed, processor, 0.0) == 1
    assert shards_for(plain, torch.device("cuda"), 0.0) == 1
