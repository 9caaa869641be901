"""Each option of the paper's tables does in a training what it says."""

import dataclasses
import itertools

import pytest
import torch
from tiny_training import ARCHITECTURE, CONFIG, changed

from dino.core.configuration.architecture import ArchitectureConfig
from dino.core.errors import ConfigurationError
from dino.model.checkpoint import load_checkpoint, save_checkpoint
from dino.training.interruption import Interruption
from dino.training.pretrain import Pretraining

STEPS_PER_EPOCH = 100 // 16
MOMENTUM = 0.9
OFTEN = {"online_knn_every_epochs": 0, "checkpoints": {"minutes": 1e-9}}
"""A checkpoint after every step, which lets a test look at the networks between two."""
RESNET = ArchitectureConfig(timm_name="resnet10t", image_size_px=32, drop_path=0.0)


def _new(dataset, architecture=ARCHITECTURE, **changes):
    return Pretraining(dataset, architecture, changed(CONFIG, **OFTEN, **changes), seed=0)


def _train(training, on_checkpoint=lambda training: None):
    training.train(lambda training: None, on_checkpoint, Interruption())
    return training


def _weights(network):
    return torch.cat([p.detach().flatten() for p in network.parameters()])


def _trajectory(dataset, **changes):
    """The weights of student and teacher before the first step and after each one."""
    training = _new(dataset, **changes)
    networks = training.networks
    seen = [(_weights(networks.student), _weights(networks.teacher))]
    _train(
        training, lambda t: seen.append((_weights(networks.student), _weights(networks.teacher)))
    )
    assert len(seen) == len(training.schedules) + 1
    students, teachers = map(list, zip(*seen, strict=True))
    # the learning rate of the first step is 0
    assert all(not torch.equal(a, b) for a, b in itertools.pairwise(students[1:]))
    return training, students, teachers


# ---- teachers (paper: section 5.2)


def test_a_momentum_teacher_is_the_moving_average_of_the_students(dataset):
    training, students, teachers = _trajectory(dataset, teacher={"momentum": MOMENTUM})
    expected = teachers[0]
    for step, student in enumerate(students[1:]):
        momentum = training.schedules.at(step).teacher_momentum
        expected = momentum * expected + (1 - momentum) * student
        torch.testing.assert_close(teachers[step + 1], expected, rtol=1e-4, atol=1e-6)


def test_a_student_copy_is_the_student_after_each_step(dataset):
    _, students, teachers = _trajectory(dataset, teacher={"kind": "student_copy"})
    assert all(torch.equal(a, b) for a, b in zip(students, teachers, strict=True))


def test_the_teacher_of_the_previous_iteration_is_one_step_behind(dataset):
    _, students, teachers = _trajectory(dataset, teacher={"kind": "previous_iteration"})
    assert all(torch.equal(a, b) for a, b in zip(students[:-1], teachers[1:], strict=True))


def test_the_teacher_of_the_previous_epoch_stays_for_an_epoch(dataset):
    _, students, teachers = _trajectory(dataset, teacher={"kind": "previous_epoch"})
    for step, teacher in enumerate(teachers):
        assert torch.equal(teacher, students[step - step % STEPS_PER_EPOCH])


KINDS = ["student_copy", "previous_iteration", "previous_epoch"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stopped_at", [STEPS_PER_EPOCH + 2, STEPS_PER_EPOCH])
def test_every_teacher_continues_to_the_same_checkpoint(dataset, tmp_path, kind, stopped_at):
    class Killed(Exception):  # noqa: N818
        pass

    def kill(training):
        if training.step == stopped_at:
            save_checkpoint(tmp_path / "killed.pth", training.content())
            raise Killed

    whole = _train(_new(dataset, teacher={"kind": kind}))
    with pytest.raises(Killed):
        _train(_new(dataset, teacher={"kind": kind}), kill)
    second = _new(dataset, teacher={"kind": kind})
    second.restore(load_checkpoint(tmp_path / "killed.pth"))
    _train(second)
    for name, training in (("whole", whole), ("second", second)):
        save_checkpoint(tmp_path / name, training.content())
    assert (tmp_path / "whole").read_bytes() == (tmp_path / "second").read_bytes()


# ---- losses, centerings, heads, optimizers


VARIANTS = {
    "the default": {},
    "sinkhorn_knopp": {"loss": {"centering": "sinkhorn_knopp"}},
    "softmax": {"loss": {"centering": "softmax"}},
    "none": {"loss": {"centering": "none"}},
    "mse": {"loss": {"name": "mse"}},
    "predictor": {"head": {"predictor": True}},
    "batch_norm": {"head": {"batch_norm": True}},
    "free last layer": {"head": {"norm_last_layer": False}},
    "without multi-crop": {"crops": {"local_crops": 0}},
    "sgd": {"optimizer": {"name": "sgd"}},
    "lars": {"optimizer": {"name": "lars"}},
    "without clipping": {"optimizer": {"clip_norm": 0}},
    "last layer never frozen": {"optimizer": {"freeze_last_layer_epochs": 0}},
}


@pytest.fixture(scope="module")
def outcomes(dataset):
    """A training with each option: the weights of the student's backbone, and the log."""
    return {name: _train(_new(dataset, **changes)) for name, changes in VARIANTS.items()}


@pytest.mark.parametrize("option", VARIANTS)
def test_options_train(outcomes, option):
    training = outcomes[option]
    fresh = _new(training.dataset, **VARIANTS[option])
    assert training.step == len(training.schedules)
    assert all(torch.isfinite(torch.tensor(row.loss)) for row in training.log)
    assert not torch.equal(_weights(training.networks.student), _weights(fresh.networks.student))


def test_no_option_is_ignored(outcomes):
    weights = {
        name: _weights(training.networks.student.backbone) for name, training in outcomes.items()
    }
    for one, other in itertools.combinations(weights, 2):
        assert not torch.equal(weights[one], weights[other]), (one, other)


def test_the_predictor_is_the_students_alone(outcomes):
    networks = outcomes["predictor"].networks
    assert any(n.startswith("head.predictor.") for n, _ in networks.student.named_parameters())
    assert not any(n.startswith("head.predictor.") for n in networks.teacher.state_dict())
    assert not any("predictor" in name for name in outcomes["predictor"].content()["teacher"])


def test_prototypes_have_unit_length_unless_they_are_free(outcomes):
    layers = {name: t.networks.student.head.last_layer for name, t in outcomes.items()}
    # scores of unit vectors along each axis of the bottleneck are the prototypes themselves
    axes = torch.eye(CONFIG.head.bottleneck_dim)
    norms = {name: layer(axes).detach().norm(dim=0) for name, layer in layers.items()}
    kept, free = norms["the default"], norms["free last layer"]
    torch.testing.assert_close(kept, torch.ones_like(kept))
    assert (free - 1).abs().max() > 1e-4


def test_without_multi_crop_each_image_has_its_two_global_crops(outcomes):
    training = _new(outcomes["the default"].dataset, **VARIANTS["without multi-crop"])
    seen = []
    training.networks.student.register_forward_pre_hook(
        lambda module, arguments: seen.append(len(arguments[0]))
    )
    _train(training)
    assert set(seen) == {2}


def test_the_last_layer_is_frozen_for_as_long_as_it_says(dataset):
    for epochs in (0, 1):
        training = _new(dataset, optimizer={"freeze_last_layer_epochs": epochs})
        layer = training.networks.student.head.last_layer
        start = torch.cat([p.detach().flatten() for p in layer.parameters()])
        moved = []
        _train(
            training,
            lambda _, layer=layer, start=start, moved=moved: moved.append(
                not torch.equal(
                    torch.cat([p.detach().flatten() for p in layer.parameters()]), start
                )
            ),
        )
        # the learning rate of the first step is 0
        first = max(1, epochs * STEPS_PER_EPOCH)
        assert moved == [step >= first for step in range(2 * STEPS_PER_EPOCH)], epochs


# ---- accumulation


def test_micro_batches_are_one_batch_through_a_whole_training(dataset):
    architecture = dataclasses.replace(ARCHITECTURE, drop_path=0.3)
    one, four = (
        _train(_new(dataset, architecture, micro_batches=n, optimizer={"name": "sgd"}))
        for n in (1, 4)
    )
    assert [row.loss for row in four.log] == pytest.approx([row.loss for row in one.log], rel=1e-4)
    torch.testing.assert_close(four.center.value, one.center.value, rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(
        _weights(four.networks.teacher), _weights(one.networks.teacher), rtol=1e-3, atol=1e-5
    )


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"head": {"batch_norm": True}}, "head.batch_norm: true"),
        ({"loss": {"centering": "sinkhorn_knopp"}}, "loss.centering: sinkhorn_knopp"),
        ({"loss": {"centering": "softmax"}}, "loss.centering: softmax"),
    ],
)
def test_accumulation_is_refused_where_the_images_of_a_batch_meet(changes, named):
    with pytest.raises(ValueError, match=f"expected micro_batches 1 with {named}"):
        changed(CONFIG, micro_batches=2, **changes)


def test_accumulation_is_refused_for_a_backbone_with_batch_norm(dataset):
    with pytest.raises(ConfigurationError, match="expected 1 for resnet10t") as caught:
        _new(dataset, RESNET, micro_batches=2)
    assert "\n" not in str(caught.value)


def test_a_convnet_trains(dataset):
    crops = {"global_size_px": 32, "local_size_px": 32}
    training = _train(_new(dataset, RESNET, crops=crops, epochs=1))
    statistics = [b for n, b in training.networks.teacher.named_buffers() if "running_mean" in n]
    assert statistics
    assert all(s.abs().max() > 0 for s in statistics), "from the teacher's own forwards"
    assert training.stepper.shards == 1
