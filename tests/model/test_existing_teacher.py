"""Teachers from everywhere: what fits is taken over bit by bit, what does not is one line."""

import json
import pickle
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from dino.core.artifacts import sha256_of_file
from dino.core.configuration.architecture import ArchitectureConfig
from dino.core.errors import CheckpointError, ConfigurationError
from dino.model.checkpoint import load_checkpoint, save_checkpoint
from dino.model.existing_teacher import (
    checkpoint_of,
    ensure_unchanged,
    existing_teacher,
    pixel_statistics,
)
from dino.model.reference_checkpoint import load_reference_checkpoint, save_reference_checkpoint
from dino.model.student_teacher import initial_backbone
from dino.model.timm_folder import PixelStatistics

SIZES = {"image_size_px": 8, "patch_size_px": 4, "embed_dim": 16, "depth": 2, "num_heads": 2}


def _architecture(**more):
    return ArchitectureConfig(timm_name="vit_tiny_patch16_224", **{**SIZES, **more})


@pytest.fixture
def state():
    return initial_backbone(_architecture(), seed=3).state_dict()


def _refused(match, **more):
    with pytest.raises(CheckpointError, match=match) as caught:
        existing_teacher(_architecture(**more))
    assert "\n" not in str(caught.value)


def test_a_backbone_file_is_taken_over_bit_by_bit(tmp_path, state):
    torch.save(state, tmp_path / "backbone.pth")
    path = str(tmp_path / "backbone.pth")
    teacher = existing_teacher(_architecture(weights={"file": path}))
    assert teacher.sha256 == sha256_of_file(tmp_path / "backbone.pth")
    assert teacher.pixels is None
    assert list(teacher.weights) == list(state)
    for name, tensor in state.items():
        assert torch.equal(teacher.weights[name], tensor)


def test_half_precision_weights_become_float32(tmp_path, state):
    torch.save({name: tensor.half() for name, tensor in state.items()}, tmp_path / "half.pth")
    weights = existing_teacher(_architecture(weights={"file": str(tmp_path / "half.pth")})).weights
    assert all(tensor.dtype == torch.float32 for tensor in weights.values())


def test_a_checkpoint_gives_the_network_that_is_asked_for(tmp_path, state):
    other = initial_backbone(_architecture(), seed=4).state_dict()
    content = {
        "teacher": {f"backbone.{name}": tensor for name, tensor in state.items()},
        "student": {f"module.backbone.{name}": tensor for name, tensor in other.items()},
    }
    torch.save(content, tmp_path / "full.pth")
    for network, expected in (("teacher", state), ("student", other)):
        weights = {"file": str(tmp_path / "full.pth"), "network": network}
        teacher = existing_teacher(_architecture(weights=weights))
        assert torch.equal(teacher.weights["cls_token"], expected["cls_token"])


def test_a_backbone_file_has_no_student(tmp_path, state):
    torch.save(state, tmp_path / "backbone.pth")
    weights = {"file": str(tmp_path / "backbone.pth"), "network": "student"}
    _refused("expected a training checkpoint with a student", weights=weights)


@pytest.mark.parametrize(
    ("change", "first"),
    [
        ({"depth": 3}, r"blocks\.2\.norm1\.weight is missing"),
        ({"depth": 1}, r"blocks\.1\.norm1\.weight is not part of it"),
        ({"image_size_px": 12}, r"expected pos_embed of shape \(1, 10, 16\), got \(1, 5, 16\)"),
    ],
)
def test_the_first_name_that_does_not_fit_is_given(tmp_path, state, change, first):
    torch.save(state, tmp_path / "backbone.pth")
    _refused(first, weights={"file": str(tmp_path / "backbone.pth")}, **change)


def test_another_number_of_heads_shows_in_no_shape_and_is_refused(tmp_path, state):
    folder = _timm_folder(tmp_path, state, num_heads=4)
    _refused("expected num_heads 2, got 4", weights={"folder": str(folder)})


def test_another_checksum_is_refused_and_a_change_is_noticed(tmp_path, state):
    path = tmp_path / "backbone.pth"
    torch.save(state, path)
    checksum = sha256_of_file(path)
    pinned = _architecture(weights={"file": str(path), "sha256": checksum})
    ensure_unchanged(pinned.weights, existing_teacher(pinned).sha256)
    torch.save({**state, "cls_token": state["cls_token"] + 1}, path)
    with pytest.raises(CheckpointError, match="changed since `dino pretrain` read it"):
        ensure_unchanged(pinned.weights, checksum)
    _refused(f"expected the SHA-256 {checksum}", weights=pinned.weights)
    path.unlink()
    ensure_unchanged(pinned.weights, checksum)


class _Attack:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_code_in_a_file_is_not_executed(tmp_path):
    path, trace = tmp_path / "evil.pth", tmp_path / "executed"
    with path.open("wb") as stream:
        pickle.dump({"teacher": _Attack(trace)}, stream)
    refusal = r"evil\.pth: cannot be read as a checkpoint \(it is damaged, or no archive of tensors"
    _refused(refusal, weights={"file": str(path)})
    assert not trace.exists()


def test_a_missing_file_is_named(tmp_path):
    _refused("nothing.pth: not found", weights={"file": str(tmp_path / "nothing.pth")})


def _timm_folder(tmp_path: Path, state, num_heads=2, mean=(0.5, 0.5, 0.5)) -> Path:
    folder = tmp_path / "folder"
    folder.mkdir()
    config = {
        "architecture": "vit_tiny_patch16_224",
        "num_classes": 10,
        "model_args": {"embed_dim": 16, "num_heads": num_heads},
        "pretrained_cfg": {
            "mean": mean,
            "std": [0.5, 0.5, 0.5],
            "crop_pct": 0.9,
            "classifier": "head",
        },
    }
    (folder / "config.json").write_text(json.dumps(config))
    head = {"head.weight": torch.zeros(10, 16), "head.bias": torch.zeros(10)}
    save_file({**state, **head}, folder / "model.safetensors")
    return folder


def test_a_folder_keeps_what_its_network_was_trained_to_see(tmp_path, state):
    folder = _timm_folder(tmp_path, state)
    architecture = _architecture(weights={"folder": str(folder)})
    teacher = existing_teacher(architecture)
    assert list(teacher.weights) == list(state)
    expected = PixelStatistics(mean=(0.5,) * 3, std=(0.5,) * 3, crop_share=0.9)
    assert teacher.pixels == expected
    assert teacher.sha256 == sha256_of_file(folder / "model.safetensors")
    # and so does the checkpoint
    save_checkpoint(tmp_path / "c.pth", checkpoint_of(teacher, architecture, seed=1))
    assert pixel_statistics(load_checkpoint(tmp_path / "c.pth")["teacher"]) == expected


def test_a_folder_of_another_network_or_without_weights_is_named(tmp_path, state):
    folder = _timm_folder(tmp_path, state)
    with pytest.raises(CheckpointError, match="expected the architecture resnet10t"):
        existing_teacher(ArchitectureConfig(timm_name="resnet10t", weights={"folder": str(folder)}))
    (folder / "model.safetensors").write_bytes(b"nothing")
    _refused("damaged", weights={"folder": str(folder)})
    (folder / "model.safetensors").unlink()
    _refused("not found", weights={"folder": str(folder)})


def test_pretrained_weights_without_a_hub_are_one_line(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")

    def offline(name, **_):
        raise OSError(f"{name}: no route\nto host")

    monkeypatch.setattr(timm, "create_model", offline)
    name = "vit_tiny_patch16_224.augreg_in21k_ft_in1k"
    config = ArchitectureConfig(timm_name="vit_tiny_patch16_224", weights={"timm": name})
    with pytest.raises(ConfigurationError, match="cannot be fetched") as caught:
        existing_teacher(config)
    assert "\n" not in str(caught.value)
    assert name in str(caught.value)


def test_weights_that_timm_does_not_have_are_never_random_ones():
    config = ArchitectureConfig(
        timm_name="resnet10t", weights={"timm": "resnet10t.made_by_somebody"}
    )
    with pytest.raises(ConfigurationError, match="expected a model with pretrained weights"):
        existing_teacher(config)


def test_pretrained_weights_of_timm_are_taken_over(monkeypatch):
    pretrained = timm.create_model("resnet10t", num_classes=0)
    monkeypatch.setattr(timm, "is_model_pretrained", lambda name: True)
    original = timm.create_model

    def create(name, pretrained_too=pretrained, **options):
        return pretrained_too if options["pretrained"] else original(name, **options)

    monkeypatch.setattr(timm, "create_model", create)
    config = ArchitectureConfig(timm_name="resnet10t", weights={"timm": "resnet10t.some"})
    teacher = existing_teacher(config)
    assert teacher.sha256 == existing_teacher(config).sha256
    assert torch.equal(teacher.weights["conv1.0.weight"], pretrained.conv1[0].weight)


def test_a_teacher_that_was_not_trained_here_can_be_started_from_but_has_no_student(
    tmp_path, state
):
    torch.save(state, tmp_path / "b.pth")
    architecture = _architecture(weights={"file": str(tmp_path / "b.pth")})
    content = checkpoint_of(existing_teacher(architecture), architecture, seed=1)
    save_checkpoint(tmp_path / "checkpoint.pth", content)
    checkpoint = load_reference_checkpoint(tmp_path / "checkpoint.pth")
    assert checkpoint.student is None
    assert checkpoint.center is None
    assert torch.equal(checkpoint.teacher.backbone["cls_token"], state["cls_token"])
    with pytest.raises(CheckpointError, match="expected a checkpoint of a training"):
        save_reference_checkpoint(tmp_path / "reference.pth", content)


def test_xcit_by_its_authors_names_becomes_timms(tmp_path):
    architecture = ArchitectureConfig(timm_name="xcit_nano_12_p16_224")
    expected = initial_backbone(architecture, seed=1).state_dict()
    theirs = {}
    for name, tensor in expected.items():
        name = name.replace("pos_embed.", "pos_embeder.")
        if ".attn.k." in name or ".attn.v." in name:
            continue
        if ".attn.q." in name:
            query, key, value = (name.replace(".q.", f".{letter}.") for letter in "qkv")
            theirs[name.replace(".q.", ".qkv.")] = torch.cat(
                [expected[query], expected[key], expected[value]]
            )
        else:
            theirs[name] = tensor
    assert set(theirs) != set(expected)
    torch.save(theirs, tmp_path / "xcit.pth")
    weights = {"file": str(tmp_path / "xcit.pth")}
    found = existing_teacher(
        ArchitectureConfig(timm_name="xcit_nano_12_p16_224", weights=weights)
    ).weights
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
