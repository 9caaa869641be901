"""Processes on this machine that train together."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml

from dino.core.errors import ConfigurationError
from dino.launch.local import processes_wanted
from soak.training import PARAMETERS, RUN


def test_a_training_has_a_process_for_each_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DINO_PROCESSES", raising=False)
    assert processes_wanted() == max(1, torch.cuda.device_count())
    monkeypatch.setenv("DINO_PROCESSES", "1")
    assert processes_wanted() == 1


@pytest.mark.parametrize("wanted", ["0", "-1", "two", "", "2.5", "1e3", " 2"])
def test_a_number_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, wanted: str) -> None:
    monkeypatch.setenv("DINO_PROCESSES", wanted)
    with pytest.raises(ConfigurationError, match="expected a number of processes"):
        processes_wanted()


def test_more_processes_than_the_machine_serves_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    most = torch.cuda.device_count() or 4 * os.cpu_count()
    for wanted in (most + 1, 1000):
        monkeypatch.setenv("DINO_PROCESSES", str(wanted))
        with pytest.raises(ConfigurationError, match=f"expected at most {most}, "):
            processes_wanted()
    monkeypatch.setenv("DINO_PROCESSES", str(most))
    assert processes_wanted() == most


@pytest.fixture
def project(tmp_path: Path) -> Path:
    pretrain = {**PARAMETERS["pretrain"], "epochs": 4}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({**PARAMETERS, "pretrain": pretrain}))
    assert start(tmp_path, "prepare").wait() == 0
    return tmp_path


def start(project: Path, *arguments: str, **variables: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "dino.cli", *arguments]
    environment = {**os.environ, **variables}
    with (project / "log").open("ab") as log:
        return subprocess.Popen(command, cwd=project, env=environment, stdout=log, stderr=log)


def checkpoint(project: Path) -> str:
    path = project / "artifacts" / RUN / "checkpoint.pth"
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_signal_reaches_all_processes_and_they_continue_to_the_same_bits(project: Path) -> None:
    pretrain = ("pretrain", "--run", RUN)
    assert start(project, *pretrain, DINO_PROCESSES="2").wait() == 0
    expected = checkpoint(project)
    (project / "artifacts" / RUN / "checkpoint.pth").unlink()
    for milestone in (project / "work").rglob("*.pth"):
        milestone.unlink()

    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, os.EX_TEMPFAIL)):
        before = set((project / "work").rglob("step_*.pth"))
        training = start(project, *pretrain, DINO_PROCESSES="2")
        deadline = time.monotonic() + 240
        while set((project / "work").rglob("step_*.pth")) <= before:
            assert time.monotonic() < deadline, (project / "log").read_text()
            time.sleep(0.05)
        training.send_signal(number)
        assert training.wait() == code
        # said once, by the first process
        assert (project / "log").read_text().count(f"interrupted by {number.name} at") == 1
    assert start(project, *pretrain, DINO_PROCESSES="2").wait() == 0
    assert "continuing from step" in (project / "log").read_text()
    assert checkpoint(project) == expected


def test_what_one_process_refuses_ends_all(project: Path) -> None:
    parameters = yaml.safe_load((project / "params.yaml").read_text())
    parameters["pretrain"]["batch_size"] = 15
    (project / "params.yaml").write_text(yaml.safe_dump(parameters))
    training = start(project, "pretrain", "--run", RUN, DINO_PROCESSES="2")
    assert training.wait() == 1
    assert "expected a multiple of the 2 processes" in (project / "log").read_text()
