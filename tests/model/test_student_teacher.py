import pytest
import torch

from dino.core.configuration.architecture import ArchitectureConfig
from dino.core.configuration.pretrain import HeadConfig
from dino.core.errors import ConfigurationError
from dino.core.seeding import Purpose
from dino.model.backbone import build_backbone
from dino.model.drop_path import DropPathKey
from dino.model.student_teacher import build_student_teacher, initial_backbone

ARCHITECTURE = ArchitectureConfig(
    timm_name="vit_tiny_patch16_224",
    image_size_px=8,
    patch_size_px=4,
    embed_dim=16,
    depth=3,
    num_heads=2,
    drop_path=0.5,
)
HEAD = HeadConfig(out_dim=12, hidden_dim=8, bottleneck_dim=6)


def test_student_and_teacher_start_equal():
    networks = build_student_teacher(ARCHITECTURE, HEAD, seed=3)
    student, teacher = networks.student.state_dict(), networks.teacher.state_dict()
    assert student.keys() == teacher.keys()
    assert all(torch.equal(student[name], teacher[name]) for name in student)


def test_the_teacher_has_no_gradient_and_no_drop_path():
    networks = build_student_teacher(ARCHITECTURE, HEAD, seed=0)
    assert not any(p.requires_grad for p in networks.teacher.parameters())
    images = torch.randn(4, 3, 8, 8)
    torch.testing.assert_close(networks.teacher([images]), networks.teacher([images]))
    first, other = (
        DropPathKey(purpose=Purpose.PRETRAIN_DROP_PATH, seed=0, step=step, images=torch.arange(4))
        for step in (0, 1)
    )
    assert not torch.equal(networks.student([images], first), networks.student([images], other))


def test_equal_seeds_give_equal_weights():
    first, again, other = (
        build_student_teacher(ARCHITECTURE, HEAD, seed).state_dict() for seed in (1, 1, 2)
    )
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_the_initial_backbone_is_that_of_any_head():
    expected = initial_backbone(ARCHITECTURE, seed=4).state_dict()
    for out_dim in (12, 30):
        head = HeadConfig(out_dim=out_dim, hidden_dim=8, bottleneck_dim=6)
        teacher = build_student_teacher(ARCHITECTURE, head, seed=4).teacher
        actual = teacher.backbone.state_dict()
        assert all(torch.equal(actual[name], expected[name]) for name in expected)


def test_the_teacher_is_an_exponential_moving_average():
    networks = build_student_teacher(ARCHITECTURE, HEAD, seed=0)
    before = [p.clone() for p in networks.teacher.parameters()]
    with torch.no_grad():
        for parameter in networks.student.parameters():
            parameter.add_(torch.randn_like(parameter))
    networks.update_teacher(0.75)
    for old, student, teacher in zip(
        before, networks.student.parameters(), networks.teacher.parameters(), strict=True
    ):
        torch.testing.assert_close(teacher, 0.75 * old + 0.25 * student)


def test_crops_of_equal_width_and_other_height_are_not_stacked():
    networks = build_student_teacher(ARCHITECTURE, HEAD, seed=0).eval()
    crops = [torch.randn(2, 3, 8, 8), torch.randn(2, 3, 4, 8)]
    together = networks.student(crops)
    alone = torch.cat([networks.student([crop]) for crop in crops])
    torch.testing.assert_close(together, alone)


def test_an_architecture_that_timm_cannot_build_is_named():
    config = ArchitectureConfig(timm_name="vit_of_tomorrow")
    with pytest.raises(ConfigurationError, match="vit_of_tomorrow"):
        build_backbone(config)
