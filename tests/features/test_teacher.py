from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from timm.models import save_for_hf

from dino.cli import run
from dino.core.configuration.architecture import ArchitectureConfig
from dino.core.errors import ConfigurationError, DinoError
from dino.features.api import load_teacher
from dino.features.teacher import load_backbone, load_trainable_backbone, save_backbone
from dino.model.backbone import build_backbone
from dino.model.drop_path import drop_probabilities, replace_drop_path

ARCHITECTURE = ArchitectureConfig(
    timm_name="vit_tiny_patch16_224",
    image_size_px=8,
    patch_size_px=2,
    embed_dim=16,
    depth=3,
    num_heads=2,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_backbone(tmp_path, ARCHITECTURE, build_backbone(ARCHITECTURE).state_dict())
    return tmp_path


@torch.no_grad()
def test_a_trainable_backbone_is_the_frozen_one_with_drop_path(folder: Path) -> None:
    frozen, trainable = load_backbone(folder), load_trainable_backbone(folder, drop_path=0.2)
    assert trainable.training
    assert replace_drop_path(trainable) == 4
    assert drop_probabilities(trainable) == pytest.approx([0.1, 0.1, 0.2, 0.2])
    images = torch.randn(2, 3, 8, 8)
    torch.testing.assert_close(trainable.eval()(images), frozen.global_feature(images))


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DinoError, match="not found"):
        load_trainable_backbone(tmp_path / "none", drop_path=0.0)


def test_a_network_for_images_that_are_no_squares_needs_a_crop(tmp_path: Path) -> None:
    network = timm.create_model(
        "vit_tiny_patch16_224", img_size=(8, 12), patch_size=2, embed_dim=8, depth=1, num_heads=2
    )
    save_for_hf(network, tmp_path, safe_serialization=True)
    with pytest.raises(ConfigurationError, match=r"crop_px: .* made for images of 8 x 12 px"):
        load_teacher(tmp_path)
    features = load_teacher(tmp_path, crop_px=8).extract(Image.new("RGB", (20, 30)))
    assert features.shape == (1, 8) and np.isfinite(features).all()


def test_a_feature_is_as_wide_as_what_comes_before_the_classifier(tmp_path: Path) -> None:
    network = timm.create_model("mobilenetv3_small_050", num_classes=3)
    save_for_hf(network, tmp_path, safe_serialization=True)
    teacher = load_teacher(tmp_path, crop_px=32)
    assert teacher.extract(Image.new("RGB", (40, 40))).shape == (1, teacher.dim) == (1, 1024)


def test_images_of_another_size_than_a_network_takes_are_one_line(tmp_path: Path) -> None:
    network = timm.create_model(
        "cait_xxs24_224", img_size=32, patch_size=8, embed_dim=16, depth=1, num_heads=2
    )
    save_for_hf(network, tmp_path, safe_serialization=True)
    with pytest.raises(ConfigurationError, match=r"crop_px: expected what Cait takes, got 64"):
        load_teacher(tmp_path, crop_px=64).extract(Image.new("RGB", (64, 64)))


@pytest.mark.parametrize(
    ("weight", "bias", "error"),
    [
        (1.0, float("nan"), "norm.bias holds NaN or infinite numbers"),
        # numbers whose sum is none
        (3e38, 3e38, "are not finite"),
    ],
)
def test_features_that_are_no_numbers_are_written_nowhere(
    folder: Path, capsys: pytest.CaptureFixture[str], weight: float, bias: float, error: str
) -> None:
    weights = load_file(folder / "model.safetensors")
    weights["norm.weight"].fill_(weight)
    weights["norm.bias"].fill_(bias)
    save_file(weights, folder / "model.safetensors")
    noise = np.random.default_rng(0).integers(256, size=(8, 8, 3), dtype=np.uint8)
    Image.fromarray(noise).save(folder / "noise.png")
    table = folder / "features.parquet"
    table.write_bytes(b"what was there")
    command = ["features", str(folder / "noise.png"), "-o", str(table), "--teacher", str(folder)]
    assert run(command) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert error in line
    assert table.read_bytes() == b"what was there"
