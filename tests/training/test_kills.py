"""Processes that die or are asked to end, and go on as if nothing had happened."""

import hashlib
import os
import re
import signal
import subprocess
import sys
import time

import pytest
from two_ranks import free_port

from dino.core.artifacts import read_json
from dino.core.paths import Project
from dino.model.checkpoint import load_checkpoint
from soak.training import RUN, Training

EPOCHS = 4
STEPS = 20 * EPOCHS


@pytest.fixture(scope="module")
def training(tmp_path_factory):
    return Training(tmp_path_factory.mktemp("killed"), EPOCHS)


@pytest.fixture(scope="module")
def uninterrupted(training):
    """The hash of the checkpoint of a training that nobody disturbed."""
    sha256 = training.finish()
    assert training.said("continuing") is None
    training.restart()
    return sha256


@pytest.mark.parametrize(
    "kill_at",
    [("step", 50), ("write", 4), ("rename", 3), ("epoch", 2)],
    ids=lambda kill_at: kill_at[0],
)
def test_a_killed_training_ends_with_the_checkpoint_of_an_uninterrupted_one(
    training, uninterrupted, kill_at
):
    process = training.start(kill_at)
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert not training.checkpoint.exists()
    if kill_at[0] in ("write", "rename"):
        assert list(training.work.rglob("*.tmp")), "killed while a file was written"
    assert training.finish() == uninterrupted
    assert training.said(f"of {STEPS}").startswith("continuing from step")
    assert not list(training.work.rglob("*.tmp"))
    training.restart()


@pytest.mark.parametrize("name", ["SIGTERM", "SIGUSR2", "SIGINT"])
def test_a_signal_saves_and_asks_to_be_started_again(training, uninterrupted, name):
    process = training.start()
    while not list(training.work.rglob("step_*.pth")):
        time.sleep(0.01)
    os.kill(process.pid, getattr(signal, name))
    if name != "SIGINT":
        # schedulers repeat themselves
        os.kill(process.pid, getattr(signal, name))
    process.join()
    assert process.exitcode == (130 if name == "SIGINT" else 75)
    line = training.said("dino pretrain: interrupted by")
    step = int(
        re.fullmatch(
            rf".*interrupted by {name} at step (\d+); run the same command again to continue: "
            f"dino pretrain --run {RUN}, or what called it",
            line,
        )[1]
    )
    assert any(f"step_{step:09d}" in path.name for path in training.work.rglob("step_*.pth"))
    assert training.finish() == uninterrupted
    assert training.said(f"continuing from step {step} of {STEPS}")
    training.restart()


def test_a_second_ctrl_c_ends_at_once_in_the_middle_of_a_step():
    script = (
        "import time; from dino.training.interruption import Interruption\n"
        "with Interruption(): print('begun', flush=True); time.sleep(300)"
    )
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", script], stdout=pipe, stderr=pipe) as process:
        assert process.stdout.readline() == b"begun\n"
        process.send_signal(signal.SIGINT)
        assert process.stderr.readline() == b"\n"
        assert b"Ctrl-C again ends at once" in process.stderr.readline()
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == -signal.SIGINT


def test_the_workers_of_a_killed_training_end(training, uninterrupted):
    process = training.start(("step", 30))
    process.join()
    folder = str(training.folder)
    deadline = time.monotonic() + 30
    while (alive := _working_in(folder)) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not alive
    assert training.finish() == uninterrupted
    training.restart()


def test_two_processes_continue_to_the_same_bytes_and_one_to_the_same_loss(training, uninterrupted):
    both = _two(training)
    assert _join(both) == [0, 0]
    expected = _sha256(training)
    assert _processes(training) == 2
    whole = load_checkpoint(training.checkpoint)["log"]
    training.restart()

    assert _join(_two(training, ("step", 50))) == [-signal.SIGKILL] * 2
    assert _join(_two(training)) == [0, 0]
    assert _sha256(training) == expected
    training.restart()

    assert _join(_two(training, ("step", 50))) == [-signal.SIGKILL] * 2
    training.finish()
    assert training.said("continuing")
    assert _processes(training) == 1
    log = load_checkpoint(training.checkpoint)["log"]
    training.restart()
    assert [row["step"] for row in log] == [row["step"] for row in whole]
    # on another number of processes the sums of a batch may be rounded in another order
    assert [row["loss"] for row in log] == pytest.approx([row["loss"] for row in whole], rel=1e-3)


def test_a_training_that_nobody_can_continue_says_so(training, uninterrupted):
    process = training.start(("step", 50))
    process.join()
    for path in training.work.rglob("*.pth"):
        path.write_bytes(path.read_bytes()[:-1])
    assert training.finish() == uninterrupted
    assert training.said("no checkpoint is whole; starting at step 0")
    for path in training.work.rglob("*.damaged"):
        path.unlink()
    training.restart()


def _two(training, kill_at=None):
    port = free_port()
    return [
        training.start(
            kill_at,
            environment={
                "RANK": str(rank),
                "LOCAL_RANK": str(rank),
                "WORLD_SIZE": "2",
                "LOCAL_WORLD_SIZE": "2",
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": str(port),
            },
            log=f"log-{rank}.txt",
        )
        for rank in range(2)
    ]


def _join(processes):
    for process in processes:
        process.join()
    return [process.exitcode for process in processes]


def _processes(training):
    path = Project(root=training.folder).run(RUN).provenance("pretrain")
    return read_json(path)["processes"]


def _sha256(training):
    return hashlib.sha256(training.checkpoint.read_bytes()).hexdigest()


def _working_in(folder):
    """The processes whose working directory is `folder`."""
    found = []
    for process in os.listdir("/proc"):  # noqa: PTH208 - not a folder of files
        try:
            if process.isdigit() and os.readlink(f"/proc/{process}/cwd") == folder:  # noqa: PTH115
                found.append(int(process))
        except OSError:
            continue
    return found
