import csv
import dataclasses
import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from tiny_training import ARCHITECTURE, CONFIG

from dino.core.errors import CheckpointError, DataError
from dino.training.monitor import log_csv
from dino.training.pretrain import LOG_EVERY_STEPS, Pretraining


def _new(dataset, architecture=ARCHITECTURE, **changes):
    return Pretraining(dataset, architecture, dataclasses.replace(CONFIG, **changes), seed=0)


def _nothing(training):
    pass


class _InterruptionError(Exception):
    pass


@pytest.mark.parametrize("drop_path", [0.0, 0.5])
def test_an_interrupted_training_continues_to_the_same_checkpoint(dataset, tmp_path, drop_path):
    architecture = dataclasses.replace(ARCHITECTURE, drop_path=drop_path)
    whole = _new(dataset, architecture)
    whole.train(_nothing, _nothing)
    whole.save(tmp_path / "whole.pth")

    def interrupt(training):
        training.save(tmp_path / "interrupted.pth")
        raise _InterruptionError

    first = _new(dataset, architecture)
    with pytest.raises(_InterruptionError):
        first.train(_nothing, interrupt)
    assert 0 < first.step < len(first.schedules)
    second = _new(dataset, architecture)
    second.resume(tmp_path / "interrupted.pth")
    second.train(_nothing, _nothing)
    second.save(tmp_path / "resumed.pth")
    assert (tmp_path / "resumed.pth").read_bytes() == (tmp_path / "whole.pth").read_bytes()


def test_a_checkpoint_from_other_parameters_is_refused(dataset, tmp_path):
    _new(dataset).save(tmp_path / "checkpoint.pth")
    other = _new(dataset, epochs=3)
    with pytest.raises(CheckpointError, match="belongs to other parameters"):
        other.resume(tmp_path / "checkpoint.pth")


def test_the_log_has_a_row_every_few_steps_and_at_each_epochs_end(dataset):
    training = _new(dataset)
    training.train(_nothing, _nothing)
    rows = list(csv.DictReader(io.StringIO(log_csv(training.log))))
    per_epoch = 100 // 16
    assert per_epoch < LOG_EVERY_STEPS
    assert [int(row["step"]) for row in rows] == [per_epoch, 2 * per_epoch]
    for row in rows:
        assert float(row["loss"]) == pytest.approx(
            float(row["teacher_entropy"]) + float(row["kl"]), rel=1e-5
        )
        assert 0 <= float(row["online_knn_top1"]) <= 100


def test_training_moves_student_and_teacher(dataset):
    training = _new(dataset)
    before = {name: p.clone() for name, p in training.networks.named_parameters()}
    training.train(_nothing, _nothing)
    moved = [n for n, p in training.networks.named_parameters() if not torch.equal(p, before[n])]
    assert any(name.startswith("student.backbone") for name in moved)
    assert any(name.startswith("teacher.backbone") for name in moved)


def test_a_batch_larger_than_the_training_split_is_refused(dataset):
    with pytest.raises(DataError, match=r"pretrain\.batch_size: expected at most the 100"):
        _new(dataset, batch_size=128)


def test_bf16_follows_float32(dataset):
    losses = {}
    for precision in ("float32", "bf16"):
        training = _new(dataset, precision=precision)
        training.train(_nothing, _nothing)
        losses[precision] = [row.loss for row in training.log]
    assert losses["bf16"] == pytest.approx(losses["float32"], rel=0.02)
    assert losses["bf16"] != losses["float32"]


@pytest.fixture
def project(tmp_path):
    values = {
        "runs": {"architecture": ["vit"], "seed": [0]},
        "architectures": {"vit": dataclasses.asdict(ARCHITECTURE)},
        "prepare": {"source": "digits", "val_images": 50, "max_train_images": 320},
        "pretrain": {
            **dataclasses.asdict(CONFIG),
            "epochs": 3,
            "checkpoints": {"minutes": 0.001},
            "crops": {"global_size_px": 8, "local_size_px": 4, "local_crops": 2},
        },
        "features": {"resize_px": 8, "crop_px": 8, "last_blocks": 2},
        "attention": {"image_size_px": 8},
    }
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(values))
    subprocess.run(["dino", "prepare"], cwd=tmp_path, check=True, capture_output=True)
    return tmp_path


def test_a_killed_command_resumes_to_the_same_bytes(project: Path):
    command = [sys.executable, "-m", "dino.cli", "pretrain", "--run", "vit-dino-s0"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    checkpoint = project / "artifacts" / "vit-dino-s0" / "checkpoint.pth"
    subprocess.run(command, cwd=project, env=environment, check=True, capture_output=True)
    expected = checkpoint.read_bytes()
    checkpoint.unlink()

    running = subprocess.Popen(
        command, cwd=project, env=environment, stderr=subprocess.PIPE, start_new_session=True
    )
    while not list((project / "work" / "vit-dino-s0").glob("*/checkpoint.pth")):
        assert running.poll() is None, running.communicate()
    os.killpg(running.pid, signal.SIGKILL)
    running.communicate()
    assert not checkpoint.exists()
    again = subprocess.run(
        command, cwd=project, env=environment, check=True, capture_output=True, text=True
    )
    assert "continuing from step" in again.stdout
    assert checkpoint.read_bytes() == expected
    assert not (project / "work" / "vit-dino-s0").exists()
