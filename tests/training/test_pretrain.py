import csv
import dataclasses
import io
import os
import signal
import threading

import pytest
import torch
from tiny_training import ARCHITECTURE, CONFIG, changed
from torch.utils.data import DataLoader

from dino.core.errors import CheckpointError, CollapseError, ConfigurationError, InterruptedTraining
from dino.model.checkpoint import load_checkpoint, save_checkpoint
from dino.training.interruption import Interruption, ignore_signals
from dino.training.monitor import log_csv
from dino.training.pretrain import LOG_EVERY_STEPS, Pretraining


def _new(dataset, architecture=ARCHITECTURE, **changes):
    return Pretraining(dataset, architecture, dataclasses.replace(CONFIG, **changes), seed=0)


def _nothing(training):
    pass


def _train(training, on_checkpoint=_nothing, interruption=None):
    training.train(_nothing, on_checkpoint, interruption or Interruption())
    return training


class _KilledError(Exception):
    pass


def _checkpoint(training, path):
    save_checkpoint(path, training.content())
    return path.read_bytes()


@pytest.mark.parametrize("drop_path", [0.0, 0.5])
def test_an_interrupted_training_continues_to_the_same_checkpoint(dataset, tmp_path, drop_path):
    architecture = dataclasses.replace(ARCHITECTURE, drop_path=drop_path)
    whole = _train(_new(dataset, architecture))

    def kill(training):
        _checkpoint(training, tmp_path / "killed.pth")
        raise _KilledError

    first = _new(dataset, architecture)
    with pytest.raises(_KilledError):
        _train(first, kill)
    assert 0 < first.step < len(first.schedules)
    second = _new(dataset, architecture)
    second.restore(load_checkpoint(tmp_path / "killed.pth"))
    _train(second)
    assert _checkpoint(second, tmp_path / "resumed.pth") == _checkpoint(
        whole, tmp_path / "whole.pth"
    )


def test_a_signal_ends_the_training_at_a_step_that_it_continues_from(dataset, tmp_path):
    whole = _train(_new(dataset))
    kept = {}

    def keep(training):
        kept["bytes"] = _checkpoint(training, tmp_path / "stopped.pth")
        kept["step"] = training.step

    interruption = Interruption()
    interruption.requested = "SIGUSR2"
    with pytest.raises(InterruptedTraining, match="SIGUSR2"):
        _train(_new(dataset), keep, interruption)
    assert kept["step"] == 2, "the step that was told and the one that was in flight"
    second = _new(dataset)
    second.restore(load_checkpoint(tmp_path / "stopped.pth"))
    _train(second)
    assert _checkpoint(second, tmp_path / "resumed.pth") == _checkpoint(
        whole, tmp_path / "whole.pth"
    )


def test_a_checkpoint_from_other_parameters_is_refused(dataset, tmp_path):
    other = _new(dataset, epochs=3)
    with pytest.raises(CheckpointError, match="belongs to other parameters"):
        other.restore(_new(dataset).content())


def test_how_often_it_is_saved_or_warned_of_does_not_make_another_training(dataset):
    saved = changed(CONFIG, checkpoints={"minutes": 7.0}, monitor={"on_collapse": "stop"})
    other = Pretraining(dataset, ARCHITECTURE, saved, seed=0)
    assert other.fingerprint == _new(dataset).fingerprint


def test_the_log_has_a_row_every_few_steps_and_at_each_epochs_end(dataset):
    training = _train(_new(dataset))
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
    _train(training)
    moved = [n for n, p in training.networks.named_parameters() if not torch.equal(p, before[n])]
    assert any(name.startswith("student.backbone") for name in moved)
    assert any(name.startswith("teacher.backbone") for name in moved)


def test_a_batch_larger_than_the_training_split_is_refused(dataset):
    with pytest.raises(ConfigurationError, match=r"pretrain\.batch_size: expected at most the 100"):
        _new(dataset, batch_size=128)


def test_bf16_follows_float32(dataset):
    losses = {}
    for precision in ("float32", "bf16"):
        training = _train(_new(dataset, precision=precision))
        losses[precision] = [row.loss for row in training.log]
    assert losses["bf16"] == pytest.approx(losses["float32"], rel=0.02)
    assert losses["bf16"] != losses["float32"]


def test_a_step_that_is_not_finite_is_reported_and_never_saved(dataset):
    training = _new(dataset)
    saved = []

    def break_the_student(training):
        saved.append(training.step)
        with torch.no_grad():
            training.networks.student.head.mlp[0].weight[0, 0] = torch.nan

    with pytest.raises(CollapseError) as caught:
        _train(training, break_the_student)
    first_broken = 100 // 16
    assert saved == [first_broken]
    report = caught.value.report
    assert report["step"] == first_broken
    assert report["loss"] == "nan"
    assert set(report["gradient_norms"].values()) == {"nan"}
    ids = report["images"]
    assert len(ids) == CONFIG.batch_size
    assert set(ids) <= set(dataset.manifest["id"])
    message = str(caught.value)
    assert message.startswith(f"step {first_broken} (epoch 1): the loss is nan")
    assert ids[0] in message
    assert "\n" not in message


def test_overflows_of_fp16_are_counted_and_the_schedules_wait(dataset):
    training = _new(dataset, precision="fp16")
    training.stepper.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**12)
    _train(training)
    assert 0 < training.skipped < training.step
    assert training.log[-1].skipped_steps == training.skipped
    last = training.schedules.at(training.step - training.skipped - 1)
    assert training.log[-1].learning_rate == last.learning_rate


class _Numbers:
    """Four of them, in place of images."""

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return index


def _terminated_at_birth(worker):
    os.kill(os.getpid(), signal.SIGTERM)
    ignore_signals(worker)


def test_a_worker_outlives_a_signal_that_comes_while_it_starts():
    loader = DataLoader(
        _Numbers(),
        num_workers=1,
        worker_init_fn=_terminated_at_birth,
        multiprocessing_context="fork",
    )
    with Interruption() as interruption, interruption.postponed():
        batches = iter(loader)
    assert [int(batch) for batch in batches] == [0, 1, 2, 3]


def test_a_signal_that_came_while_postponed_is_noted_afterwards():
    with Interruption() as interruption:
        with interruption.postponed():
            # one sent to the process may reach another of its threads
            signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
            assert interruption.requested is None
        assert interruption.requested == "SIGTERM"
