"""Whatever happens to a training on SLURM: the bits of one that nobody disturbed, and one job."""

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

import pandas as pd
import pytest
from cluster import (
    RUN,
    SETTINGS,
    Training,
    Undisturbed,
    ask_for,
    descendants,
    task_processes,
    wait_until,
)

TWO = {"nodes": 2}


def assert_as_undisturbed(
    training: Training, undisturbed: Undisturbed, *, processes: int, submissions: int
) -> None:
    assert training.sha256() == undisturbed.hashes[processes]
    assert len(training.cluster.submissions(training.project)) == submissions


def test_two_nodes_give_the_bits_of_two_local_processes(training, undisturbed):
    ask_for(training.project, "pretrain", **TWO)
    output = training.finished(training.start())
    assert "submitted job" in output
    assert "has finished" in output
    assert_as_undisturbed(training, undisturbed, processes=2, submissions=1)
    # asked again, nothing is computed again
    assert "has computed this already" in training.finished(training.start())
    assert_as_undisturbed(training, undisturbed, processes=2, submissions=1)


def test_usr2_saves_and_queues_the_same_job_again(training, cluster, undisturbed):
    ask_for(training.project, "pretrain", **TWO)
    launcher = training.start()
    with training.frozen() as job_id:
        cluster("scancel", "--signal=USR2", job_id)
        training.wait_for_notice(job_id)
    training.finished(launcher)
    assert "interrupted by SIGUSR2" in training.logs()
    assert_as_undisturbed(training, undisturbed, processes=2, submissions=1)


def test_killed_rank_is_noticed_and_the_training_submitted_again(training, undisturbed):
    ask_for(training.project, "pretrain", **TWO)
    launcher = training.start()
    with training.frozen() as job_id:
        for process in task_processes(job_id, rank=1):
            os.kill(process, signal.SIGKILL)
    output = training.finished(launcher)
    assert "has ended without a result (FAILED)" in output
    assert_as_undisturbed(training, undisturbed, processes=2, submissions=2)


def test_cancelled_job_is_an_error_and_the_next_command_continues(training, cluster, undisturbed):
    launcher = training.start()
    with training.frozen() as job_id:
        cluster("scancel", job_id)
    output = training.finished(launcher, code=1)
    assert "CANCELLED" in output.splitlines()[-1]
    assert "Traceback" not in output
    assert training.checkpoint_names()
    training.finished(training.start())
    assert_as_undisturbed(training, undisturbed, processes=1, submissions=2)


@pytest.mark.parametrize("with_signal", [signal.SIGKILL, signal.SIGINT])
def test_engine_that_ends_leaves_the_job_to_the_next(training, undisturbed, with_signal):
    command = ("snakemake", "--profile", "slurm", f"artifacts/{RUN}/checkpoint.pth")
    engine = training.start(*command)
    with training.frozen() as job_id:
        # as a terminal does: to snakemake, the launcher, and all between them
        for process in descendants(engine.pid):
            os.kill(process, with_signal)
        output, _ = engine.communicate(timeout=240)
        assert engine.returncode != 0
        if with_signal == signal.SIGINT:
            assert f"detached: job {job_id} goes on" in output
        else:
            training.project("snakemake", "--unlock")
        engine = training.start(*command)
    assert f"watching job {job_id}" in training.finished(engine)
    assert_as_undisturbed(training, undisturbed, processes=1, submissions=1)


def test_ctrl_c_cancels_where_that_is_configured(training, cluster, undisturbed):
    training.project.set("on_interrupt", "cancel", SETTINGS)
    launcher = training.start()
    with training.frozen() as job_id:
        os.killpg(launcher.pid, signal.SIGINT)
        assert f"job {job_id} is cancelled" in training.finished(launcher, code=130)
    wait_until(lambda: cluster.state(job_id) == "CANCELLED", "end of the job")
    training.finished(training.start())
    assert_as_undisturbed(training, undisturbed, processes=1, submissions=2)


def test_three_launchers_at_once_are_one_job(training, undisturbed):
    launchers = [training.start() for _ in range(3)]
    outputs = [training.finished(launcher) for launcher in launchers]
    assert sum("submitted job" in output for output in outputs) == 1
    assert_as_undisturbed(training, undisturbed, processes=1, submissions=1)


def test_wrong_partition_is_one_line(training, cluster):
    ask_for(training.project, partition="nowhere")
    output = training.finished(training.start(), code=1)
    assert output.splitlines() == [
        "dino pretrain: SLURM refused the job: invalid partition specified: nowhere; Batch job "
        f"submission failed: Invalid partition name specified; correct {SETTINGS}, "
        "`dino doctor --slurm` checks it"
    ]
    assert cluster.submissions(training.project) == []


def test_full_disk_in_the_job_is_one_line_and_loses_nothing(training, undisturbed):
    work = training.project.root / "work" / RUN
    work.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(work)]
    if subprocess.run(mount).returncode:
        assert not os.environ.get("CI")
        pytest.skip("this user may not mount a small file system")
    try:
        launcher = training.start()
        with training.frozen():
            filler = work / "filler"
            with contextlib.suppress(OSError):
                filler.write_bytes(bytes(2**22))
        output = training.finished(launcher, code=1)
        assert "no space left on the disk" in output.splitlines()[-1]
        assert "Traceback" not in output
        assert training.checkpoint_names()
        filler.unlink()
        training.finished(training.start())
    finally:
        subprocess.run(["umount", "--lazy", str(work)], check=True)
    assert_as_undisturbed(training, undisturbed, processes=1, submissions=2)


def test_on_another_number_of_processes_the_loss_is_the_same(background, undisturbed):
    moved = background.moved.result()
    assert "continuing from step" in moved.logs(".out")
    assert len(moved.cluster.submissions(moved.project)) == 2
    log = pd.read_csv(moved.project.root / "results" / "runs" / RUN / "pretrain.csv")
    expected = undisturbed.logs[2]
    assert log["step"].tolist() == expected["step"].tolist()
    # the same crops: only the order of sums differs, and what follows from it
    assert log["loss"].to_numpy() == pytest.approx(expected["loss"].to_numpy(), rel=1e-3)


def test_time_limit_shorter_than_the_training_is_chained(background, undisturbed):
    chained = background.chained.result()
    assert "interrupted by SIGUSR2" in chained.logs()
    assert_as_undisturbed(chained, undisturbed, processes=1, submissions=1)


def test_preempted_job_is_continued(training, cluster, undisturbed, alone):
    launcher = training.start()
    with training.frozen() as job_id:
        cluster("sbatch", "--partition=urgent", "--nodes=2", "--exclusive", "--output=/dev/null",
                "--time=1", "--wrap=sleep 1")  # fmt: skip
        training.wait_for_notice(job_id)
    training.finished(launcher)
    assert "interrupted by SIGUSR2" in training.logs()
    assert_as_undisturbed(training, undisturbed, processes=1, submissions=1)


def test_lost_node_is_replaced_and_its_processes_are_fenced(training, cluster, undisturbed, alone):
    launcher = training.start()
    with training.frozen() as job_id:
        # SLURM is gone from the node; the training hangs, and wakes when another has begun
        node = cluster("squeue", "-h", "-j", job_id, "-o", "%N").strip()
        for process in task_processes(job_id):
            if Path(f"/proc/{process}/comm").read_text().strip() == "srun":
                os.kill(process, signal.SIGKILL)
        cluster.switch("kill-node", node)
        before = training.checkpoint_names()
        wait_until(lambda: training.attempt() == f"{job_id}.1", "second attempt")
        wait_until(lambda: training.checkpoint_names() - before, "checkpoint of the second attempt")
    try:
        training.finished(launcher)
        wait_until(lambda: "was given up for dead" in training.logs(), "end of the first attempt")
    finally:
        cluster.switch("start-node", node)
    assert_as_undisturbed(training, undisturbed, processes=1, submissions=1)
    wait_until(lambda: node in cluster("sinfo", "-h", "-N", "-t", "idle", "-o", "%N"), node)


def test_controller_may_be_down_for_a_while(training, cluster, undisturbed, alone):
    launcher = training.start()
    with training.frozen():
        cluster.switch("stop-controller")
        try:
            time.sleep(20)
        finally:
            cluster.switch("start-controller")
    assert "no news" in training.finished(launcher)
    assert_as_undisturbed(training, undisturbed, processes=1, submissions=1)
