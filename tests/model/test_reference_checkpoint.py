"""Checkpoints as other programs write them: weights are read where they suffice, else one line."""

import pickle
import zipfile
from argparse import Namespace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from dino.core.configuration.architecture import ArchitectureConfig
from dino.core.errors import CheckpointError
from dino.model.checkpoint import load_checkpoint
from dino.model.reference_checkpoint import architecture_of, load_reference_checkpoint

STATE = {"cls_token": torch.ones(1, 1, 4), "norm.weight": torch.arange(4.0)}
HEAD = {"last_layer.weight_g": torch.ones(5, 1), "last_layer.weight_v": torch.ones(5, 3)}


def _named(prefix: str, state: dict[str, Tensor] | None = None) -> dict[str, Tensor]:
    return {f"{prefix}{name}": value for name, value in (state or STATE).items()}


def _saved(path: Path, content: Any) -> Path:
    torch.save(content, path)
    return path


@pytest.mark.parametrize(
    "content",
    [
        STATE,
        {"state_dict": STATE, "epoch": 3},
        {"model": STATE, "args": Namespace(arch="deit_small")},
        {"model_state_dict": _named("module.")},
        {"teacher": {"state_dict": _named("module.backbone.")}},
        {"teacher": _named("_orig_mod.module.backbone.")},
        {"teacher": _named("module._orig_mod.backbone._orig_mod.")},
        {"state_dict": _named("module.encoder.")},
        {"teacher": STATE, "student": None, "dino_loss": None, "optimizer": None},
    ],
)
def test_weights_are_found_however_they_are_wrapped(tmp_path: Path, content: Any) -> None:
    network = load_reference_checkpoint(_saved(tmp_path / "c.pth", content)).teacher
    assert list(network.backbone) == list(STATE)
    assert all(torch.equal(network.backbone[name], value) for name, value in STATE.items())


@pytest.mark.parametrize("options", [None, Namespace(arch="vit_tiny"), {"arch": "vit_tiny"}, 3])
def test_options_are_read_where_there_are_some(tmp_path: Path, options: Any) -> None:
    content = {"teacher": _named("backbone."), "args": options}
    checkpoint = load_reference_checkpoint(_saved(tmp_path / "c.pth", content))
    has_options = isinstance(options, dict | Namespace)
    assert checkpoint.arguments == ({"arch": "vit_tiny"} if has_options else None)
    assert checkpoint.center is None and checkpoint.student is None


def test_a_head_with_torchs_newer_weight_norm_has_the_references_names(tmp_path: Path) -> None:
    newer = {
        "head.last_layer.parametrizations.weight.original0": HEAD["last_layer.weight_g"],
        "head.last_layer.parametrizations.weight.original1": HEAD["last_layer.weight_v"],
    }
    path = _saved(tmp_path / "c.pth", {"teacher": {**_named("backbone."), **newer}})
    head = load_reference_checkpoint(path).teacher.head
    assert all(torch.equal(head[name], value) for name, value in HEAD.items())


def test_a_convnet_is_known_by_its_options(tmp_path: Path) -> None:
    for options, expected in (({"arch": "resnet50"}, "resnet50"), ({"arch": "vit_huge"}, None)):
        content = {"teacher": {"backbone.conv1.weight": torch.ones(1)}, "args": options}
        path = _saved(tmp_path / "c.pth", content)
        found = architecture_of(load_reference_checkpoint(path), path)
        assert found == (ArchitectureConfig(timm_name=expected) if expected else None)


def test_positions_that_fill_no_square_are_of_no_standard_architecture(tmp_path: Path) -> None:
    for positions, expected in ((17, 8), (13, None)):
        content = {
            "pos_embed": torch.zeros(1, positions, 192),
            "patch_embed.proj.weight": torch.zeros(192, 3, 2, 2),
        }
        path = _saved(tmp_path / "c.pth", content)
        found = architecture_of(load_reference_checkpoint(path), path)
        assert (found.image_size_px if found else None) == expected


def test_learning_rates_as_numpy_1_wrote_them_are_read(tmp_path: Path) -> None:
    content = {"teacher": STATE, "optimizer": {"lr": np.float64(0.5)}}
    new = _saved(tmp_path / "new.pth", content)
    with zipfile.ZipFile(new) as read, zipfile.ZipFile(tmp_path / "old.pth", "w") as written:
        for name in read.namelist():
            stored = read.read(name)
            written.writestr(name, stored.replace(b"numpy._core", b"numpy.core"))
    assert (tmp_path / "old.pth").stat().st_size < new.stat().st_size
    assert load_reference_checkpoint(tmp_path / "old.pth").optimizer == {"lr": 0.5}


@pytest.mark.parametrize("where", ["teacher", "student", "center"])
def test_numbers_that_are_none_are_refused_by_name(tmp_path: Path, where: str) -> None:
    content: dict[str, Any] = {
        "teacher": _named("backbone."),
        "student": _named("module.backbone."),
        "dino_loss": {"center": torch.zeros(1, 5)},
    }
    if where == "center":
        content["dino_loss"] = {"center": torch.full((1, 5), torch.inf)}
    else:
        broken = {**STATE, "norm.weight": torch.full((4,), torch.nan)}
        content[where] = _named("backbone.", broken)
    name = "center" if where == "center" else "backbone.norm.weight"
    with pytest.raises(CheckpointError, match=f"{name} holds NaN or infinite numbers"):
        load_reference_checkpoint(_saved(tmp_path / "c.pth", content))


class _Attack:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, (str(self.path), "w"))


def _bytes_of(kind: str, tmp_path: Path) -> bytes:
    path = _saved(tmp_path / "whole.pth", {"teacher": STATE})
    whole = path.read_bytes()
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("notes/readme.txt", "no tensors")
        return path.read_bytes()
    if kind == "path":
        return _saved(path, {"teacher": STATE, "args": PurePosixPath("x")}).read_bytes()
    if kind == "module":
        return _saved(path, torch.nn.Linear(2, 2)).read_bytes()
    if kind == "attack":
        return _saved(path, {"teacher": _Attack(tmp_path / "executed")}).read_bytes()
    return {
        "text": b"these are no weights\n",
        "empty": b"",
        "truncated": whole[: len(whole) // 2],
        "pickle": pickle.dumps({"teacher": _Attack(tmp_path / "executed")}),
    }[kind]


@pytest.mark.parametrize("load", [load_checkpoint, load_reference_checkpoint])
@pytest.mark.parametrize(
    "kind", ["text", "empty", "zip", "truncated", "pickle", "path", "module", "attack"]
)
def test_a_file_that_is_no_checkpoint_is_one_line_without_torchs_advice(
    tmp_path: Path, load: Any, kind: str
) -> None:
    path = tmp_path / "other.pth"
    path.write_bytes(_bytes_of(kind, tmp_path))
    with pytest.raises(CheckpointError, match=r"other\.pth: cannot be read as a check") as caught:
        load(path)
    line = str(caught.value)
    assert "\n" not in line and len(line) < 300
    assert "weights_only" not in line and "trust" not in line
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ([1, 2], "expected a dictionary, got list"),
        ({}, "expected the weights of a network"),
        ({"epoch": 3}, "found a int called epoch"),
        ({"teacher": 3}, "expected the weights of a network"),
        ({"student": STATE}, "expected a teacher beside the student"),
        ({1: torch.ones(1)}, "found a Tensor called 1"),
    ],
)
def test_a_file_without_a_network_is_one_line(tmp_path: Path, content: Any, error: str) -> None:
    with pytest.raises(CheckpointError, match=error) as caught:
        load_reference_checkpoint(_saved(tmp_path / "c.pth", content))
    assert "\n" not in str(caught.value)
