"""Trainings that start from what another one has learnt."""

import argparse
import dataclasses
import subprocess
import sys

import numpy as np
import pytest
import torch
from networks import architecture_of
from tiny_training import ARCHITECTURE, CONFIG, changed

from dino.core.configuration.pretrain import HeadConfig
from dino.core.errors import CheckpointError, ConfigurationError
from dino.model.checkpoint import load_checkpoint, save_checkpoint
from dino.model.reference_checkpoint import load_reference_checkpoint, save_reference_checkpoint
from dino.model.student_teacher import build_student_teacher
from dino.training.interruption import Interruption
from dino.training.pretrain import Pretraining
from dino.training.starting_point import starting_point

CPU = torch.device("cpu")
GOLDEN_HEAD = HeadConfig(out_dim=50, hidden_dim=32, bottleneck_dim=16)


@pytest.fixture(scope="module")
def golden(request):
    return request.config.getoption("--golden")


@pytest.fixture(scope="module")
def architecture(golden):
    return architecture_of(np.load(golden / "vit.npz", allow_pickle=False))


def _train(training):
    training.train(lambda _: None, lambda _: None, Interruption())
    return training


def _from(initial, head=GOLDEN_HEAD):
    return dataclasses.replace(CONFIG, head=head, initial=str(initial))


def _assert_equal(state, expected):
    assert set(state) == set(expected)
    for name, value in expected.items():
        assert torch.equal(state[name], value), name


@pytest.fixture
def own(dataset, tmp_path):
    """A checkpoint of this project, after two epochs."""
    path = tmp_path / "own.pth"
    save_checkpoint(path, _train(Pretraining(dataset, ARCHITECTURE, CONFIG, seed=0)).content())
    return path


def test_a_released_checkpoint_gives_both_networks_and_the_center(golden, architecture):
    path = golden / "checkpoint.pth"
    networks, center = starting_point(architecture, _from(path), 0, CPU)
    released = load_reference_checkpoint(path)
    for name in ("student", "teacher"):
        network, expected = getattr(networks, name), getattr(released, name)
        _assert_equal(network.backbone.state_dict(), expected.backbone)
        _assert_equal(network.head.state_dict(), expected.head)
    assert torch.equal(center.value, released.center)
    assert center.value.abs().sum() > 0


def test_a_released_backbone_gives_both_backbones_and_leaves_the_heads_random(golden, architecture):
    path = golden / "backbone.pth"
    head = HeadConfig(out_dim=7, hidden_dim=8, bottleneck_dim=4)
    networks, center = starting_point(architecture, _from(path, head), 3, CPU)
    random = build_student_teacher(architecture, head, 3)
    released = load_reference_checkpoint(path).teacher.backbone
    for name in ("student", "teacher"):
        _assert_equal(getattr(networks, name).backbone.state_dict(), released)
        _assert_equal(
            getattr(networks, name).head.state_dict(), getattr(random, name).head.state_dict()
        )
    assert not center.value.any()


def test_ones_own_checkpoint_is_continued_with_new_schedules(dataset, own):
    training = Pretraining(dataset, ARCHITECTURE, changed(CONFIG, initial=str(own)), seed=1)
    kept = load_checkpoint(own)
    _assert_equal(training.networks.student.state_dict(), kept["student"])
    _assert_equal(training.networks.teacher.state_dict(), kept["teacher"])
    assert torch.equal(training.center.value, kept["center"])
    assert training.step == 0
    _train(training)
    assert training.fingerprint != Pretraining(dataset, ARCHITECTURE, CONFIG, seed=1).fingerprint


@pytest.mark.parametrize("part", ["backbone", "head"])
def test_weights_of_other_shapes_are_refused_in_one_line(golden, architecture, part):
    if part == "backbone":
        architecture, head = ARCHITECTURE, GOLDEN_HEAD
    else:
        head = HeadConfig(out_dim=51, hidden_dim=32, bottleneck_dim=16)
    with pytest.raises(
        CheckpointError, match=rf"checkpoint\.pth: the {part} does not fit"
    ) as caught:
        starting_point(architecture, _from(golden / "checkpoint.pth", head), 0, CPU)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(architecture, tmp_path):
    with pytest.raises(CheckpointError, match=r"none\.pth: not found"):
        starting_point(architecture, _from(tmp_path / "none.pth"), 0, CPU)


def _distilled(own, **changes):
    return changed(CONFIG, teacher={"kind": "fixed", "checkpoint": str(own)}, **changes)


def test_a_fixed_teacher_of_another_architecture_teaches_and_stays(dataset, own, tmp_path):
    narrow = dataclasses.replace(ARCHITECTURE, embed_dim=8, depth=1)
    training = Pretraining(dataset, narrow, _distilled(own), seed=1)
    kept = load_checkpoint(own)
    assert torch.equal(training.center.value, kept["center"])
    before = {n: p.clone() for n, p in training.networks.student.named_parameters()}
    _train(training)
    _assert_equal(training.networks.teacher.state_dict(), kept["teacher"])
    moved = [n for n, p in training.networks.student.named_parameters() if not p.equal(before[n])]
    assert any(name.startswith("backbone") for name in moved)
    # what comes out is the student: evaluated, exported, saved
    _assert_equal(training.content()["teacher"], training.networks.student.state_dict())


def test_distillation_continues_to_the_same_checkpoint(dataset, own, tmp_path):
    whole = _train(Pretraining(dataset, ARCHITECTURE, _distilled(own), seed=1))
    save_checkpoint(tmp_path / "whole.pth", whole.content())
    contents = []
    first = Pretraining(dataset, ARCHITECTURE, _distilled(own), seed=1)

    def keep(training):
        if not contents:
            save_checkpoint(tmp_path / "kept.pth", training.content())
            contents.append(training.step)

    first.train(lambda _: None, keep, Interruption())
    second = Pretraining(dataset, ARCHITECTURE, _distilled(own), seed=1)
    second.restore(load_checkpoint(tmp_path / "kept.pth"))
    assert 0 < second.step < len(second.schedules)
    save_checkpoint(tmp_path / "resumed.pth", _train(second).content())
    assert (tmp_path / "resumed.pth").read_bytes() == (tmp_path / "whole.pth").read_bytes()


def test_the_references_teacher_can_be_fixed(golden, architecture):
    config = dataclasses.replace(_distilled(golden / "checkpoint.pth"), head=GOLDEN_HEAD)
    networks, center = starting_point(architecture, config, 0, CPU)
    released = load_reference_checkpoint(golden / "checkpoint.pth")
    _assert_equal(networks.teacher.backbone.state_dict(), released.teacher.backbone)
    assert torch.equal(center.value, released.center)


def test_a_backbone_alone_cannot_teach(golden, architecture):
    config = dataclasses.replace(_distilled(golden / "backbone.pth"), head=GOLDEN_HEAD)
    with pytest.raises(CheckpointError, match="expected a teacher with a head"):
        starting_point(architecture, config, 0, CPU)


def test_a_fixed_teacher_needs_the_students_prototypes(dataset, own):
    with pytest.raises(ConfigurationError, match="expected a head of 25 prototypes"):
        Pretraining(dataset, ARCHITECTURE, _distilled(own, head={"out_dim": 25}), seed=1)


def test_the_references_format_holds_the_same_networks(own, tmp_path):
    command = [sys.executable, "-m", "dino.cli", "convert", str(own), str(tmp_path / "out.pth")]
    subprocess.run(command, check=True, capture_output=True, cwd=tmp_path)
    kept, back = load_checkpoint(own), load_reference_checkpoint(tmp_path / "out.pth")
    for name in ("student", "teacher"):
        network = getattr(back, name)
        merged = {f"backbone.{n}": v for n, v in network.backbone.items()}
        merged |= {f"head.{n}": v for n, v in network.head.items()}
        _assert_equal(merged, kept[name])
    assert torch.equal(back.center, kept["center"])
    assert back.epoch == CONFIG.epochs
    assert back.arguments["arch"] == "vit_tiny"
    assert back.arguments["patch_size"] == 4


def test_the_references_format_has_the_references_keys_and_names(
    golden, architecture, dataset, tmp_path
):
    config = dataclasses.replace(CONFIG, head=GOLDEN_HEAD)
    content = Pretraining(dataset, architecture, config, seed=0).content()
    save_reference_checkpoint(tmp_path / "out.pth", content)
    expected = np.load(golden / "checkpoint_expected.npz", allow_pickle=False)
    released = torch.load(tmp_path / "out.pth", weights_only=False)
    assert set(released) == set(expected["keys"])
    assert sorted(released["student"]) == sorted(expected["student_names"])
    assert sorted(released["teacher"]) == sorted(expected["teacher_names"])
    sizes = [len(group["params"]) for group in released["optimizer"]["param_groups"]]
    assert sizes == expected["group_sizes"].tolist()


def test_a_predictor_has_no_place_in_the_references_format(dataset, tmp_path):
    config = changed(CONFIG, head={"predictor": True})
    content = Pretraining(dataset, ARCHITECTURE, config, seed=0).content()
    with pytest.raises(CheckpointError, match="no place for a predictor"):
        save_reference_checkpoint(tmp_path / "out.pth", content)
    assert not (tmp_path / "out.pth").exists()


@pytest.mark.parametrize(
    "more",
    [
        {"args": {"arch": "vit"}},
        {"args": argparse.Namespace(arch="deit_small"), "dino_loss": None},
        {},
    ],
)
def test_weights_suffice_to_start_from(architecture, tmp_path, more):
    with torch.random.fork_rng():
        networks = build_student_teacher(architecture, GOLDEN_HEAD, seed=5)
    content = {"teacher": networks.teacher.state_dict(), **more}
    torch.save(content, tmp_path / "c.pth")
    started, center = starting_point(architecture, _from(tmp_path / "c.pth"), 0, CPU)
    _assert_equal(started.student.state_dict(), content["teacher"])
    _assert_equal(started.teacher.state_dict(), content["teacher"])
    assert torch.equal(center.value, torch.zeros(1, 50))


def test_a_center_of_another_head_is_refused(architecture, tmp_path):
    teacher = build_student_teacher(architecture, GOLDEN_HEAD, seed=5).teacher.state_dict()
    content = {"teacher": teacher, "dino_loss": {"center": torch.zeros(1, 49)}}
    torch.save(content, tmp_path / "c.pth")
    with pytest.raises(CheckpointError, match=r"expected a center of shape \(1, 50\)"):
        starting_point(architecture, _from(tmp_path / "c.pth"), 0, CPU)
    # without a head it is the center of no scores
    backbone = {n: w for n, w in teacher.items() if n.startswith("backbone.")}
    torch.save({**content, "teacher": backbone}, tmp_path / "c.pth")
    _, center = starting_point(architecture, _from(tmp_path / "c.pth"), 0, CPU)
    assert torch.equal(center.value, torch.zeros(1, 50))


def test_a_head_of_another_kind_cannot_teach(architecture, tmp_path):
    teacher = build_student_teacher(architecture, GOLDEN_HEAD, seed=5).teacher.state_dict()
    backbone = {n: w for n, w in teacher.items() if n.startswith("backbone.")}
    torch.save({"teacher": {**backbone, "head.weight": torch.ones(3, 32)}}, tmp_path / "c.pth")
    config = dataclasses.replace(_distilled(tmp_path / "c.pth"), head=GOLDEN_HEAD)
    with pytest.raises(CheckpointError, match="expected a teacher with a head"):
        starting_point(architecture, config, 0, CPU)
