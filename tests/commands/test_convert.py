"""Teachers out: every format gives the features of the exported folder."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import timm
import torch
from timm.models import save_for_hf
from torch import nn

from dino.cli import run
from dino.core.artifacts import read_json
from dino.core.configuration.architecture import ArchitectureConfig
from dino.core.errors import CheckpointError
from dino.features.onnx_file import save_onnx
from dino.features.teacher import load_backbone, save_backbone
from dino.model.checkpoint import save_checkpoint
from dino.model.existing_teacher import (
    ExistingTeacher,
    checkpoint_of,
    existing_teacher,
)
from dino.model.student_teacher import initial_backbone
from dino.model.timm_folder import PixelStatistics

ARCHITECTURE = ArchitectureConfig(
    timm_name="vit_tiny_patch16_224",
    image_size_px=12,
    patch_size_px=4,
    embed_dim=16,
    depth=2,
    num_heads=2,
)
PIXELS = PixelStatistics(mean=(0.5,) * 3, std=(0.5,) * 3, crop_share=0.9)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    weights = initial_backbone(ARCHITECTURE, seed=1).state_dict()
    save_backbone(tmp_path / "teacher", ARCHITECTURE, weights)
    return tmp_path / "teacher"


def _onnx_features(path: Path, images: torch.Tensor) -> torch.Tensor:
    session = onnxruntime.InferenceSession(path)
    return torch.from_numpy(session.run(["features"], {"images": images.numpy()})[0])


@pytest.mark.parametrize("pixels", [None, PIXELS])
@torch.no_grad()
def test_onnx_gives_the_features_for_any_batch(tmp_path, pixels):
    weights = initial_backbone(ARCHITECTURE, seed=1).state_dict()
    save_backbone(tmp_path / "teacher", ARCHITECTURE, weights, pixels)
    assert run(["convert", str(tmp_path / "teacher"), str(tmp_path / "t.onnx")]) == 0
    for batch in (1, 2, 5):
        images = torch.randn(batch, 3, 12, 12)
        expected = load_backbone(tmp_path / "teacher").global_feature(images)
        actual = _onnx_features(tmp_path / "t.onnx", images)
        torch.testing.assert_close(actual, expected, atol=1e-4, rtol=0)
    properties = {p.key: p.value for p in onnx.load(tmp_path / "t.onnx").metadata_props}
    assert properties["image_size_px"] == "12"
    assert properties["mean"] == "0.485 0.456 0.406"


@torch.no_grad()
def test_onnx_of_a_convnet(tmp_path):
    architecture = ArchitectureConfig(timm_name="resnet10t", image_size_px=32)
    weights = initial_backbone(architecture, seed=1).state_dict()
    save_backbone(tmp_path / "teacher", architecture, weights)
    assert run(["convert", str(tmp_path / "teacher"), str(tmp_path / "t.onnx")]) == 0
    images = torch.randn(2, 3, 32, 32)
    expected = load_backbone(tmp_path / "teacher").global_feature(images)
    actual = _onnx_features(tmp_path / "t.onnx", images)
    torch.testing.assert_close(actual, expected, atol=1e-4, rtol=0)


def test_equal_teachers_give_equal_onnx_files(folder, tmp_path):
    for name in ("one", "two"):
        assert run(["convert", str(folder), str(tmp_path / f"{name}.onnx")]) == 0
    assert (tmp_path / "one.onnx").read_bytes() == (tmp_path / "two.onnx").read_bytes()


class _Drifting(nn.Module):
    """Features that change from one call to the next."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return images.mean(dim=(2, 3)) + self.calls


def test_an_onnx_file_that_computes_something_else_is_not_written(tmp_path):
    with pytest.raises(CheckpointError, match=r"expected onnxruntime's features within 0.0001"):
        save_onnx(tmp_path / "t.onnx", _Drifting(), (8, 8), {})
    assert list(tmp_path.iterdir()) == []


def test_a_folder_becomes_the_references_backbone_file(folder, tmp_path):
    assert run(["convert", str(folder), str(tmp_path / "backbone.pth")]) == 0
    weights = torch.load(tmp_path / "backbone.pth", weights_only=True)
    expected = load_backbone(folder).weights
    assert list(weights) and all(torch.equal(weights[name], expected[name]) for name in expected)
    # and comes back
    source = {"file": str(tmp_path / "backbone.pth")}
    values = {**vars(ARCHITECTURE), "weights": source}
    again = existing_teacher(ArchitectureConfig(**values)).weights
    assert all(torch.equal(again[name], expected[name]) for name in expected)


def test_a_checkpoint_becomes_a_folder_and_onnx(tmp_path):
    weights = initial_backbone(ARCHITECTURE, seed=1).state_dict()
    teacher = ExistingTeacher(weights=weights, pixels=None, sha256="ab" * 32)
    save_checkpoint(tmp_path / "checkpoint.pth", checkpoint_of(teacher, ARCHITECTURE, seed=1))
    assert run(["convert", str(tmp_path / "checkpoint.pth"), str(tmp_path / "folder")]) == 0
    assert run(["convert", str(tmp_path / "checkpoint.pth"), str(tmp_path / "t.onnx")]) == 0
    images = torch.randn(2, 3, 12, 12)
    with torch.no_grad():
        plain = timm.create_model(f"local-dir:{tmp_path / 'folder'}", pretrained=True).eval()
        expected = plain(images)
    actual = _onnx_features(tmp_path / "t.onnx", images)
    np.testing.assert_allclose(actual, expected, atol=1e-4)


@pytest.mark.parametrize(
    ("source", "output", "error"),
    [
        ("teacher", "teacher.txt", "expected a name that ends in .pth or .onnx"),
        ("nothing.pth", "out.onnx", "nothing.pth: not found"),
        ("nothing.pth", "out.pth", "nothing.pth: not found"),
    ],
)
def test_what_cannot_be_converted_is_one_line(folder, tmp_path, capsys, source, output, error):
    assert run(["convert", str(tmp_path / source), str(tmp_path / output)]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert error in lines[0]
    assert not (tmp_path / output).exists()


@torch.no_grad()
def test_a_network_for_images_that_are_no_squares_becomes_onnx_alone(tmp_path, capsys):
    network = timm.create_model(
        "vit_tiny_patch16_224", img_size=(8, 32), patch_size=4, embed_dim=16, depth=1, num_heads=2
    )
    save_for_hf(network, tmp_path / "wide", safe_serialization=True)
    assert run(["convert", str(tmp_path / "wide"), str(tmp_path / "t.onnx")]) == 0
    images = torch.randn(2, 3, 8, 32)
    expected = load_backbone(tmp_path / "wide").global_feature(images)
    actual = _onnx_features(tmp_path / "t.onnx", images)
    torch.testing.assert_close(actual, expected, atol=1e-4, rtol=0)
    properties = {p.key: p.value for p in onnx.load(tmp_path / "t.onnx").metadata_props}
    assert properties["image_size_px"] == "8 32"
    # the reference would read two rows of eight patches as four of four
    assert run(["convert", str(tmp_path / "wide"), str(tmp_path / "b.pth")]) == 1
    assert "8 x 32 px" in capsys.readouterr().err
    assert not (tmp_path / "b.pth").exists()


@pytest.mark.parametrize("output", ["folder", "t.onnx", "b.pth"])
def test_weights_that_are_no_numbers_are_written_in_no_format(tmp_path, capsys, output):
    weights = initial_backbone(ARCHITECTURE, seed=1).state_dict()
    weights["norm.bias"][0] = float("nan")
    teacher = ExistingTeacher(weights=weights, pixels=None, sha256="ab" * 32)
    save_checkpoint(tmp_path / "checkpoint.pth", checkpoint_of(teacher, ARCHITECTURE, seed=1))
    assert run(["convert", str(tmp_path / "checkpoint.pth"), str(tmp_path / output)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "norm.bias holds NaN or infinite numbers" in line
    assert not (tmp_path / output).exists()
    with pytest.raises(CheckpointError, match=r"norm\.bias holds NaN"):
        save_backbone(tmp_path / "exported", ARCHITECTURE, weights)
    assert not (tmp_path / "exported").exists()


def test_another_normalisation_is_said_where_the_format_has_no_place_for_it(tmp_path, capsys):
    weights = initial_backbone(ARCHITECTURE, seed=1).state_dict()
    save_backbone(tmp_path / "teacher", ARCHITECTURE, weights, PIXELS)
    assert run(["convert", str(tmp_path / "teacher"), str(tmp_path / "b.pth")]) == 0
    assert "pixels less 0.5 0.5 0.5 over 0.5 0.5 0.5" in capsys.readouterr().out


def test_help_imports_neither_torch_nor_onnx():
    script = (
        "import sys\nfrom dino.cli import run\n"
        "try:\n    run(['convert', '--help'])\nexcept SystemExit:\n    pass\n"
        "assert not {'torch', 'onnx'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)


def test_the_references_checkpoint_is_told_by_its_shapes(tmp_path):
    architecture = ArchitectureConfig(timm_name="vit_tiny_patch16_224", image_size_px=32)
    teacher, student = (initial_backbone(architecture, seed).state_dict() for seed in (1, 2))
    content = {
        "teacher": {f"backbone.{name}": tensor for name, tensor in teacher.items()},
        "student": {f"module.backbone.{name}": tensor for name, tensor in student.items()},
    }
    torch.save(content, tmp_path / "full.pth")
    source = str(tmp_path / "full.pth")
    assert run(["convert", source, str(tmp_path / "a")]) == 0
    assert run(["convert", source, str(tmp_path / "b"), "--network", "student"]) == 0
    assert run(["convert", source, str(tmp_path / "backbone.pth")]) == 0
    alone = torch.load(tmp_path / "backbone.pth", weights_only=True)
    for weights, expected in (
        (load_backbone(tmp_path / "a").weights, teacher),
        (load_backbone(tmp_path / "b").weights, student),
        (alone, teacher),
    ):
        assert all(torch.equal(weights[name], tensor) for name, tensor in expected.items())


def test_a_backbone_of_nobodys_width_is_referred_to_params_yaml(tmp_path, capsys):
    torch.save(initial_backbone(ARCHITECTURE, 1).state_dict(), tmp_path / "b.pth")
    assert run(["convert", str(tmp_path / "b.pth"), str(tmp_path / "out")]) == 1
    assert "describe it in params.yaml" in capsys.readouterr().err


def test_pixels_of_a_given_teacher_outlive_its_checkpoint(tmp_path):
    weights = initial_backbone(ARCHITECTURE, seed=1).state_dict()
    teacher = ExistingTeacher(weights=weights, pixels=PIXELS, sha256="ab" * 32)
    save_checkpoint(tmp_path / "checkpoint.pth", checkpoint_of(teacher, ARCHITECTURE, seed=1))
    assert run(["convert", str(tmp_path / "checkpoint.pth"), str(tmp_path / "folder")]) == 0
    assert read_json(tmp_path / "folder" / "config.json")["pretrained_cfg"]["mean"] == [0.5] * 3
