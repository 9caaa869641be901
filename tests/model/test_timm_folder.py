"""Folders that other people wrote with timm: read as timm reads them, or refused in one line."""

import json
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from timm.models import save_for_hf

from dino.core.artifacts import sha256_of_file
from dino.core.configuration.architecture import ArchitectureConfig
from dino.core.errors import CheckpointError, DinoError
from dino.data.normalisation import IMAGENET_MEAN, IMAGENET_STD
from dino.features.teacher import load_backbone, load_trainable_backbone
from dino.model.existing_teacher import ensure_unchanged, existing_teacher
from dino.model.reference_vit import ReferencePositionVit
from dino.model.timm_folder import read_folder, weights_file

SIZES = {"img_size": 16, "patch_size": 4, "embed_dim": 16, "depth": 2, "num_heads": 2}
VIT = "vit_tiny_patch16_224"


def _written(folder: Path, name: str = VIT, **arguments: Any) -> Path:
    torch.manual_seed(0)
    model = timm.create_model(name, **{"num_classes": 10, **arguments})
    save_for_hf(model, folder, safe_serialization=True)
    return folder


def _changed(folder: Path, part: str, **values: Any) -> Path:
    """`folder` with other values in a part of config.json; None removes them."""
    config = json.loads((folder / "config.json").read_text())
    changed = config if part == "" else config[part]
    changed.update(values)
    for name in [name for name, value in values.items() if value is None]:
        del changed[name]
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return _written(tmp_path / "teacher", **SIZES)


def _refused(folder: Path, error: str) -> None:
    with pytest.raises(DinoError, match=error) as caught:
        load_backbone(folder)
    assert "\n" not in str(caught.value)


def _own_features(folder: Path, pixels: torch.Tensor) -> torch.Tensor:
    """What timm says of pixels of 0 to 1, normalised as config.json says."""
    network = timm.create_model(f"local-dir:{folder}", pretrained=True, num_classes=0).eval()
    mean, std = (torch.tensor(network.pretrained_cfg[n]).view(3, 1, 1) for n in ("mean", "std"))
    return network((pixels - mean) / std)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        (VIT, SIZES),
        (VIT, {**SIZES, "img_size": (8, 24)}),
        (VIT, {**SIZES, "patch_size": (8, 4)}),
        (VIT, {**SIZES, "img_size": 18}),
        (VIT, {**SIZES, "global_pool": "avg"}),
        ("vit_small_patch14_dinov2", SIZES),
        ("vit_small_patch14_reg4_dinov2", SIZES),
        ("deit_tiny_distilled_patch16_224", SIZES),
        ("resnet10t", {}),
    ],
)
@torch.no_grad()
def test_features_are_timms(tmp_path: Path, name: str, arguments: dict[str, Any]) -> None:
    folder = _written(tmp_path, name, **arguments)
    height, width = read_folder(folder).image_size_px
    pixels = torch.rand(2, 3, min(height, 64), min(width, 64))
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    features = load_backbone(folder).global_feature((pixels - mean) / std)
    torch.testing.assert_close(features, _own_features(folder, pixels), atol=1e-5, rtol=1e-4)


def _architecture(folder: Path) -> ArchitectureConfig:
    return ArchitectureConfig(
        timm_name=VIT,
        image_size_px=16,
        patch_size_px=4,
        embed_dim=16,
        depth=2,
        num_heads=2,
        weights={"folder": str(folder)},
    )


@torch.no_grad()
def test_a_run_takes_over_a_network_with_its_classifier_left_out(folder: Path) -> None:
    architecture = _architecture(folder)
    weights = existing_teacher(architecture).weights
    written = load_file(folder / "model.safetensors")
    assert set(written) - set(weights) == {"head.weight", "head.bias"}
    assert all(torch.equal(weights[name], written[name]) for name in weights)
    # the same shapes, but another feature
    _changed(folder, "model_args", global_pool="avg", fc_norm=False)
    with pytest.raises(CheckpointError, match="expected global_pool token, got avg"):
        existing_teacher(architecture)
    # a file that is not safetensors
    (folder / "model.safetensors").unlink()
    torch.save(written, folder / "pytorch_model.bin")
    _changed(folder, "model_args", global_pool="token", fc_norm=None)
    teacher = existing_teacher(architecture)
    assert teacher.sha256 == sha256_of_file(folder / "pytorch_model.bin")
    ensure_unchanged(architecture.weights, teacher.sha256)
    assert all(torch.equal(teacher.weights[name], written[name]) for name in weights)


def test_positions_of_two_rows_of_eight_are_no_four_of_four(tmp_path: Path) -> None:
    _written(tmp_path, **{**SIZES, "img_size": (8, 32)})
    backbone = load_trainable_backbone(tmp_path, drop_path=0.0)
    assert isinstance(backbone, ReferencePositionVit)
    rows = torch.tensor([1.0, 5.0]).repeat_interleave(8)
    with torch.no_grad():
        backbone.pos_embed[0, 1:] = rows[:, None]
    for grid in ((4, 4), (2, 8), (3, 11)):
        positions = backbone.positions_at(*grid)[0, 1:].view(*grid, -1)
        # what is the same in all columns stays so, and rows keep their order
        assert positions.std(dim=1).max() < 1e-5
        assert (positions.mean(dim=(1, 2)).diff() > 0).all()
    with pytest.raises(CheckpointError, match=r"square images, .* got one for 8 x 32 px"):
        existing_teacher(_architecture(tmp_path))


def test_what_config_json_does_not_say_is_timms_default(folder: Path) -> None:
    missing = dict.fromkeys(["mean", "std", "crop_pct", "interpolation", "input_size"])
    described = read_folder(_changed(folder, "pretrained_cfg", **missing, fixed_input_size=False))
    assert (described.pixels.mean, described.pixels.std) == (IMAGENET_MEAN, IMAGENET_STD)
    assert described.pixels.crop_share == 0.875
    assert described.image_size_px == (16, 16)
    del described.arguments["img_size"]
    _changed(folder, "model_args", img_size=None)
    assert read_folder(folder).image_size_px == (224, 224)
    _changed(folder, "pretrained_cfg", input_size=[16, 24], fixed_input_size=True)
    assert read_folder(folder).image_size_px == (16, 24)
    assert read_folder(folder).arguments["img_size"] == (16, 24)
    _changed(folder, "", pretrained_cfg=None)
    assert read_folder(folder).pixels.mean == IMAGENET_MEAN


@pytest.mark.parametrize("value", ["", "token"])
def test_a_network_without_pooling_gives_its_cls_token(folder: Path, value: str) -> None:
    _changed(folder, "model_args", global_pool=value)
    assert load_backbone(folder).global_feature(torch.zeros(2, 3, 16, 16)).shape == (2, 16)


@pytest.mark.parametrize(
    ("part", "values", "error"),
    [
        ("", {"architecture": "vit_of_nobody"}, "expected an architecture of timm .*vit_of_nobody"),
        ("", {"architecture": None}, "expected an architecture of timm .* got None"),
        ("model_args", {"in_chans": 1}, "expected a network of images with 3 channels, got 1"),
        ("model_args", {"pretrained": True}, "model_args that size .* got pretrained"),
        ("model_args", {"checkpoint_path": "x"}, "model_args that size .* got checkpoint_path"),
        ("model_args", {"no_such": 1}, "timm cannot build vit_tiny_patch16_224 .*no_such"),
        ("model_args", {"num_heads": 0}, "timm cannot build vit_tiny_patch16_224"),
        ("model_args", {"features_only": True}, "model_args that size .* got features_only"),
        ("pretrained_cfg", {"mean": [0.5, float("nan"), 0.5]}, "expected mean and std"),
        ("pretrained_cfg", {"input_size": "224"}, "expected an image size as height and width"),
        ("model_args", {"img_size": "big"}, "expected an image size as height and width, got big"),
        ("model_args", {"img_size": 24}, r"expected pos_embed of shape \(1, 37, 16\), got"),
        ("model_args", {"depth": 3}, r"blocks\.2\.norm1\.weight is missing"),
        ("pretrained_cfg", {"mean": [0.5]}, r"expected mean and std of 3 numbers.* \[0\.5\]"),
        ("pretrained_cfg", {"std": [1, 0, 1]}, "std above 0"),
        ("pretrained_cfg", {"crop_pct": "all"}, "expected mean and std of 3 numbers"),
    ],
)
def test_what_cannot_be_used_is_one_line(
    folder: Path, part: str, values: dict[str, Any], error: str
) -> None:
    _refused(_changed(folder, part, **values), error)


def test_weights_that_are_missing_or_in_parts_are_one_line(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"nothing")
    _refused(folder, "model.safetensors: damaged")
    (folder / "model.safetensors").unlink()
    _refused(folder, "model.safetensors: not found; run `dino export`")
    (folder / "model.safetensors.index.json").write_text("{}")
    _refused(folder, "join the parts that its index names into one file")
    (folder / "pytorch_model.bin").write_bytes(b"nothing")
    _refused(folder, r"pytorch_model\.bin: cannot be read as a checkpoint")


@pytest.mark.parametrize("file", ["model.safetensors", "pytorch_model.bin"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_none_are_refused_by_name(folder: Path, file: str, value: float) -> None:
    weights = load_file(folder / "model.safetensors")
    weights["norm.weight"][3] = value
    weights_file(folder).unlink()
    (save_file if file.endswith("safetensors") else torch.save)(weights, folder / file)
    _refused(folder, f"{file}: norm.weight holds NaN or infinite numbers")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_another_precision_become_float32(folder: Path, dtype: torch.dtype) -> None:
    weights = {n: w.to(dtype) for n, w in load_file(folder / "model.safetensors").items()}
    save_file(weights, folder / "model.safetensors")
    state = load_backbone(folder).weights
    assert {tensor.dtype for tensor in state.values()} == {torch.float32}
    assert torch.equal(state["cls_token"], weights["cls_token"].float())
