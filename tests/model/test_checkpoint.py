import pickle

import pytest
import torch

from dino.core.errors import CheckpointError
from dino.model.checkpoint import load_checkpoint, save_checkpoint
from dino.model.reference_checkpoint import load_reference_checkpoint

CONTENT = {
    "fingerprint": "abc",
    "architecture": {"timm_name": "vit"},
    "head": {"out_dim": 3},
    "seed": 0,
    "student": {"w": torch.arange(6.0)},
    "teacher": {"w": torch.ones(2)},
    "optimizer": {"state": {}, "param_groups": []},
    "center": torch.zeros(1, 3),
    "scaler": {},
    "step": 7,
    "skipped": 0,
    "log": [{"loss": 1.5, "online_knn_top1": None}],
    "measured": torch.empty(0),
}


def test_what_was_saved_comes_back(tmp_path):
    path = tmp_path / "checkpoint.pth"
    save_checkpoint(path, CONTENT)
    content = load_checkpoint(path)
    assert content["step"] == 7
    assert content["log"] == CONTENT["log"]
    assert torch.equal(content["student"]["w"], CONTENT["student"]["w"])


def test_equal_content_gives_equal_bytes_whatever_the_name(tmp_path):
    save_checkpoint(tmp_path / "one.pth", CONTENT)
    save_checkpoint(tmp_path / "two.pth", CONTENT)
    assert (tmp_path / "one.pth").read_bytes() == (tmp_path / "two.pth").read_bytes()


@pytest.mark.parametrize("damage", ["truncated", "empty", "text", "garbled"])
def test_a_damaged_checkpoint_is_named(tmp_path, damage):
    path = tmp_path / "checkpoint.pth"
    save_checkpoint(path, CONTENT)
    content = path.read_bytes()
    path.write_bytes(
        {
            "truncated": content[: len(content) // 2],
            "empty": b"",
            "text": b"no checkpoint",
            "garbled": content[:200] + bytes(len(content) - 200),
        }[damage]
    )
    with pytest.raises(CheckpointError, match=r"checkpoint\.pth: cannot be read") as caught:
        load_checkpoint(path)
    assert "\n" not in str(caught.value)


def test_a_missing_checkpoint_says_which_stage_makes_it(tmp_path):
    with pytest.raises(CheckpointError, match="not found; run `dino pretrain`"):
        load_checkpoint(tmp_path / "checkpoint.pth")


def test_a_checkpoint_of_another_kind_is_refused(tmp_path):
    torch.save({"weights": torch.ones(1)}, tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match="expected a checkpoint of format"):
        load_checkpoint(tmp_path / "other.pth")


class _Attack:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize("load", [load_checkpoint, load_reference_checkpoint])
def test_code_in_a_checkpoint_is_not_executed(tmp_path, load):
    path, trace = tmp_path / "evil.pth", tmp_path / "executed"
    with path.open("wb") as stream:
        pickle.dump({"teacher": _Attack(trace)}, stream)
    with pytest.raises(CheckpointError):
        load(path)
    assert not trace.exists()
