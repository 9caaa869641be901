from dataclasses import replace

import numpy as np
import pytest
import torch
from networks import architecture_of, assert_close, head_of

from dino.core.configuration.architecture import WeightsConfig
from dino.core.configuration.pretrain import HeadConfig
from dino.features.teacher import backbone_weights, load_backbone, save_backbone
from dino.model.existing_teacher import checkpoint_of, existing_teacher
from dino.model.reference_checkpoint import load_reference_checkpoint
from dino.model.student_teacher import build_student_teacher


@pytest.fixture(scope="module")
def folder(request):
    return request.config.getoption("--golden")


@pytest.fixture(scope="module")
def expected(golden):
    return golden("checkpoint_expected")


def test_full_checkpoint_gives_the_references_outputs(golden, folder, expected):
    checkpoint = load_reference_checkpoint(folder / "checkpoint.pth")
    head = head_of(checkpoint.teacher.head)
    networks = build_student_teacher(architecture_of(golden("vit")), head, seed=0).eval()
    images = torch.from_numpy(expected["x"])
    for name, source in (("teacher", checkpoint.teacher), ("student", checkpoint.student)):
        network = getattr(networks, name)
        network.backbone.load_state_dict(source.backbone)
        network.head.load_state_dict(source.head)
        assert_close(network.backbone(images), expected[f"{name}_cls"], atol=2e-5)
        assert_close(network([images]), expected[f"{name}_out"], atol=2e-5)
    assert_close(checkpoint.center, expected["center"], atol=1e-6)
    assert checkpoint.epoch == expected["epoch"]


def test_full_checkpoint_keeps_arguments_and_optimizer(folder, expected):
    checkpoint = load_reference_checkpoint(folder / "checkpoint.pth")
    arguments = dict(zip(expected["args_names"], expected["args_values"], strict=True))
    assert {name: str(value) for name, value in checkpoint.arguments.items()} == arguments
    groups = checkpoint.optimizer["param_groups"]
    assert [len(group["params"]) for group in groups] == expected["group_sizes"].tolist()
    np.testing.assert_array_equal([group["lr"] for group in groups], expected["group_lr"])
    np.testing.assert_array_equal([group["weight_decay"] for group in groups], expected["group_wd"])
    steps = {index: float(s["step"]) for index, s in checkpoint.optimizer["state"].items()}
    assert steps == dict(zip(expected["opt_index"], expected["opt_step"], strict=True))


def test_backbone_file_gives_the_references_features(golden, folder, expected):
    checkpoint = load_reference_checkpoint(folder / "backbone.pth")
    assert sorted(checkpoint.teacher.backbone) == sorted(expected["backbone_names"].tolist())
    backbone = build_student_teacher(
        architecture_of(golden("vit")), HeadConfig(out_dim=4), seed=0
    ).teacher.backbone.eval()
    backbone.load_state_dict(checkpoint.teacher.backbone)
    images = torch.from_numpy(expected["x"])
    assert_close(backbone(images), expected["teacher_cls"], atol=2e-5)


@pytest.mark.parametrize(
    ("file", "network"),
    [("checkpoint.pth", "teacher"), ("checkpoint.pth", "student"), ("backbone.pth", "teacher")],
)
def test_exported_network_gives_the_references_features(
    golden, folder, expected, tmp_path, file, network
):
    weights = WeightsConfig(file=str(folder / file), network=network)
    architecture = replace(architecture_of(golden("vit")), weights=weights)
    content = checkpoint_of(existing_teacher(architecture), architecture, seed=0)
    save_backbone(tmp_path, architecture, backbone_weights(content["teacher"]))
    images = torch.from_numpy(expected["x"])
    assert_close(
        load_backbone(tmp_path).global_feature(images), expected[f"{network}_cls"], atol=2e-5
    )
