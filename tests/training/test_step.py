import dataclasses

import pytest
import torch
from tiny_training import ARCHITECTURE, CONFIG, changed

from dino.data.normalisation import normalised
from dino.model.student_teacher import build_student_teacher
from dino.objective.center import Center
from dino.optim.parameter_groups import build_optimizer
from dino.training.schedules import Schedules, StepValues
from dino.training.step import Stepper, shards_for


def _stepper(config=CONFIG, precision="float32", architecture=ARCHITECTURE, **arguments):
    networks = build_student_teacher(architecture, config.head, seed=0)
    center = Center(config.head.out_dim, config.loss.center_momentum)
    optimizer = build_optimizer(networks.student, config.optimizer)
    return Stepper(networks, center, optimizer, config, precision, **arguments)


def _crops(batch, *sizes_px):
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(batch, 3, px, px, generator=generator) for px in sizes_px]


def test_a_loss_that_is_not_a_number_is_told_apart():
    stepper = _stepper()
    values = Schedules(CONFIG, 4).at(5)
    assert stepper.step(_crops(2, 8, 8), 1, values).finite
    broken = stepper.step([torch.full((2, 3, 8, 8), torch.nan)] * 2, 1, values)
    assert not broken.finite


def test_a_student_learns_what_a_teacher_that_stays_says():
    stepper = _stepper(changed(CONFIG, loss={"center_momentum": 1.0}))
    crops = _crops(8, 8, 8)
    values = StepValues(
        learning_rate=0.003, weight_decay=0.0, teacher_momentum=1.0, teacher_temperature=0.07
    )
    losses = [stepper.step(crops, 1, values) for _ in range(60)]
    assert losses[-1].teacher_entropy.item() == pytest.approx(losses[0].teacher_entropy.item())
    assert losses[-1].kl.item() < 0.5 * losses[0].kl.item()


def test_the_last_layer_stays_while_it_is_frozen():
    stepper = _stepper()
    prototypes = stepper.networks.student.head.last_layer.weight_v
    before = prototypes.clone()
    schedules = Schedules(CONFIG, 4)
    stepper.step(_crops(4, 8, 8, 4), 0, schedules.at(3))
    assert torch.equal(prototypes, before)
    stepper.step(_crops(4, 8, 8, 4), 1, schedules.at(4))
    assert not torch.equal(prototypes, before)


# a step of plain gradient descent shows the gradients themselves
DESCENT = changed(CONFIG, optimizer={"name": "sgd", "clip_norm": 0})


@pytest.mark.parametrize("drop_path", [0.0, 0.5])
@pytest.mark.parametrize(
    ("shards", "micro_batches"), [(2, 1), (3, 1), (1, 2), (1, 4), (2, 2), (3, 2)]
)
def test_pieces_of_a_batch_equal_the_whole(shards, micro_batches, drop_path):
    architecture = dataclasses.replace(ARCHITECTURE, drop_path=drop_path)
    images = torch.tensor([3, 14, 15, 92, 65, 35, 89, 79])
    outcomes = []
    for threads, pieces in ((1, 1), (shards, micro_batches)):
        config = changed(DESCENT, micro_batches=pieces)
        stepper = _stepper(config, architecture=architecture, shards=threads)
        result = stepper.step(_crops(8, 8, 8, 4, 4), 1, Schedules(config, 4).at(5), images=images)
        outcomes.append((result, stepper))
    (whole, one), (divided, other) = outcomes
    for name in ("loss", "teacher_entropy", "kl", "mean_distribution", "mean_feature"):
        torch.testing.assert_close(getattr(divided, name), getattr(whole, name), msg=name)
    torch.testing.assert_close(divided.gradient_norms, whole.gradient_norms, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(other.center.value, one.center.value)
    for network in ("student", "teacher"):
        state = getattr(other.networks, network).state_dict()
        for name, expected in getattr(one.networks, network).state_dict().items():
            torch.testing.assert_close(state[name], expected, rtol=1e-4, atol=1e-6)


def test_a_batch_may_have_fewer_images_than_there_are_cores():
    result = _stepper(shards=5).step(_crops(2, 8, 8, 4), 1, Schedules(CONFIG, 4).at(4))
    assert result.finite


def test_shards_give_the_same_bits_every_time():
    architecture = dataclasses.replace(ARCHITECTURE, drop_path=0.5)
    states = []
    for _ in range(3):
        stepper = _stepper(precision="bf16", architecture=architecture, shards=2)
        for step in range(4, 8):
            stepper.step(_crops(8, 8, 8, 4), 1, Schedules(CONFIG, 4).at(step), step=step)
        states.append(stepper.networks.state_dict())
    for state in states[1:]:
        assert all(torch.equal(state[name], states[0][name]) for name in state)


def test_bytes_are_normalised_on_their_way_into_the_networks():
    pixels = [torch.randint(0, 256, (4, 1, 8, 8), dtype=torch.uint8) for _ in range(2)]
    ready = [normalised(crop) for crop in pixels]
    values = Schedules(CONFIG, 4).at(4)
    assert torch.equal(
        _stepper().step(pixels, 1, values).loss, _stepper().step(ready, 1, values).loss
    )


def test_an_overflow_of_fp16_moves_nothing_but_the_scale():
    stepper = _stepper(precision="fp16")
    before = {name: tensor.clone() for name, tensor in stepper.networks.state_dict().items()}
    stepper.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**40)
    values = Schedules(CONFIG, 4).at(5)
    result = stepper.step(_crops(4, 8, 8, 4), 1, values)
    assert result.skipped
    assert result.finite
    assert stepper.scaler.get_scale() == 2.0**39
    assert all(torch.equal(before[n], t) for n, t in stepper.networks.state_dict().items())
    assert stepper.center.value.abs().max() == 0
    assert all(state["step"] == 0 for state in stepper.optimizer.state.values())


def test_fp16_follows_float32():
    results = {}
    for precision in ("float32", "fp16"):
        stepper = _stepper(precision=precision)
        stepper.scaler = torch.amp.GradScaler("cpu", init_scale=1.0, enabled=precision == "fp16")
        schedules = Schedules(CONFIG, 4)
        results[precision] = [
            stepper.step(_crops(8, 8, 8, 4), 1, schedules.at(step)) for step in range(4, 8)
        ]
        assert not any(result.skipped for result in results[precision])
    for full, half in zip(results["float32"], results["fp16"], strict=True):
        assert half.loss.item() == pytest.approx(full.loss.item(), rel=5e-3)
        assert half.gradient_norms.norm().item() == pytest.approx(
            full.gradient_norms.norm().item(), rel=0.05
        )


def test_networks_whose_images_meet_are_not_divided():
    processor = torch.device("cpu")
    plain = build_student_teacher(ARCHITECTURE, CONFIG.head, seed=0).student
    head = dataclasses.replace(CONFIG.head, batch_norm=True)
    normed = build_student_teacher(ARCHITECTURE, head, seed=0).student
    assert shards_for(plain, processor, CONFIG) == torch.get_num_threads()
    assert shards_for(normed, processor, CONFIG) == 1
    assert shards_for(plain, processor, changed(CONFIG, loss={"centering": "softmax"})) == 1
    assert shards_for(plain, torch.device("cuda"), CONFIG) == 1
