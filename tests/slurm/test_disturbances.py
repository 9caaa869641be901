"""Whatever happens to a training on SLURM: the bits of one that nobody disturbed, and one job."""

import os
import shutil
import signal
import subprocess
import time

import pytest
from cluster import RUN, SETTINGS, Cluster, Training, ask_for, wait_until

TWO = {"nodes": 2}


def kill_a_rank(cluster: Cluster, job_id: str, rank: int) -> None:
    """As the kernel does when memory runs out."""
    for folder in os.listdir("/proc"):
        if not folder.isdigit():
            continue
        try:
            with open(f"/proc/{folder}/environ", "rb") as stream:
                variables = stream.read().split(b"\0")
        except OSError:
            continue
        if {f"SLURM_JOB_ID={job_id}".encode(), f"SLURM_PROCID={rank}".encode()} <= set(variables):
            os.kill(int(folder), signal.SIGKILL)


def assert_as_undisturbed(
    training: Training, undisturbed: dict[int, str], *, processes: int, submissions: int
) -> None:
    assert training.sha256() == undisturbed[processes]
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
    job_id = training.job_id_in_training()
    cluster("scancel", "--signal=USR2", job_id)
    training.finished(launcher)
    assert "interrupted by SIGUSR2" in training.logs()
    assert_as_undisturbed(training, undisturbed, processes=2, submissions=1)


def test_preempted_job_is_continued(training, cluster, undisturbed):
    launcher = training.start()
    training.job_id_in_training()
    cluster("sbatch", "--partition=urgent", "--nodes=2", "--exclusive", "--output=/dev/null",
            "--time=1", "--wrap=sleep 2")  # fmt: skip
    training.finished(launcher)
    assert "interrupted by SIGUSR2" in training.logs()
    assert_as_undisturbed(training, undisturbed, processes=1, submissions=1)


def test_time_limit_shorter_than_the_training_is_chained(training, cluster, undisturbed):
    ask_for(training.project, signal_delay_s=55)
    launcher = training.start()
    job_id = training.job_id_in_training()
    # SLURM looks at time limits to the minute: the notice comes at once
    cluster("scontrol", "update", f"JobId={job_id}", "TimeLimit=1")
    training.finished(launcher)
    assert "interrupted by SIGUSR2" in training.logs()
    assert_as_undisturbed(training, undisturbed, processes=1, submissions=1)


def test_killed_rank_is_noticed_and_the_training_submitted_again(training, cluster, undisturbed):
    ask_for(training.project, "pretrain", **TWO)
    launcher = training.start()
    kill_a_rank(cluster, training.job_id_in_training(), rank=1)
    output = training.finished(launcher)
    assert "ended without a result (FAILED)" in output
    assert_as_undisturbed(training, undisturbed, processes=2, submissions=2)


def test_lost_node_is_replaced_and_its_processes_are_fenced(training, cluster, undisturbed):
    launcher = training.start()
    job_id = training.job_id_in_training()
    node = cluster("squeue", "-h", "-j", job_id, "-o", "%N").strip()
    # the daemon is gone, the training on its node goes on unseen
    cluster.switch("kill-node", node)
    try:
        training.finished(launcher)
        assert "was given up for dead" in training.logs()
    finally:
        cluster.switch("start-node", node)
    assert_as_undisturbed(training, undisturbed, processes=1, submissions=1)
    wait_until(lambda: node in cluster("sinfo", "-h", "-N", "-t", "idle", "-o", "%N"), node)


def test_cancelled_job_is_an_error_and_the_next_command_continues(training, cluster, undisturbed):
    launcher = training.start()
    cluster("scancel", training.job_id_in_training())
    output = training.finished(launcher, code=1)
    assert "CANCELLED" in output.splitlines()[-1]
    assert "Traceback" not in output
    training.finished(training.start())
    assert_as_undisturbed(training, undisturbed, processes=1, submissions=2)


@pytest.mark.parametrize("with_signal", [signal.SIGKILL, signal.SIGINT])
def test_launcher_that_ends_leaves_the_job_to_the_next(training, undisturbed, with_signal):
    launcher = training.start()
    job_id = training.job_id_in_training()
    os.killpg(launcher.pid, with_signal)
    output = training.finished(launcher, code=130 if with_signal == signal.SIGINT else -9)
    if with_signal == signal.SIGINT:
        assert f"detached: job {job_id} goes on" in output
    output = training.finished(training.start())
    assert f"watching job {job_id}" in output
    assert_as_undisturbed(training, undisturbed, processes=1, submissions=1)


def test_three_launchers_at_once_are_one_job(training, undisturbed):
    launchers = [training.start() for _ in range(3)]
    outputs = [training.finished(launcher) for launcher in launchers]
    assert sum("submitted job" in output for output in outputs) == 1
    assert_as_undisturbed(training, undisturbed, processes=1, submissions=1)


def test_controller_may_be_down_for_a_while(training, cluster, undisturbed):
    launcher = training.start()
    training.job_id_in_training()
    cluster.switch("stop-controller")
    try:
        time.sleep(20)
    finally:
        cluster.switch("start-controller")
    assert "no news" in training.finished(launcher)
    assert_as_undisturbed(training, undisturbed, processes=1, submissions=1)


def test_wrong_partition_is_one_line(training, cluster):
    ask_for(training.project, partition="nowhere")
    output = training.finished(training.start(), code=1)
    assert output.splitlines() == [
        "dino pretrain: SLURM refused the job: Batch job submission failed: Invalid partition name "
        f"specified; correct {SETTINGS}, `dino doctor --slurm` checks it"
    ]
    assert cluster.submissions(training.project) == []


def test_full_disk_in_the_job_is_one_line_and_loses_nothing(training, cluster, undisturbed):
    work = training.project.root / "work" / RUN
    work.mkdir(parents=True)
    options = ["-t", "tmpfs", "-o", "size=512k", "tmpfs", str(work)]
    if shutil.which("mount") is None or subprocess.run(["mount", *options]).returncode:
        pytest.skip("this user may not mount a small file system")
    try:
        launcher = training.start()
        training.job_id_in_training()
        (work / "filler").write_bytes(bytes(2**19))
    except OSError:
        # what fits of it is there
        output = training.finished(launcher, code=1)
        assert "no space left on the disk" in output.splitlines()[-1]
        assert "Traceback" not in output
        assert training.checkpoint_names()
        (work / "filler").unlink()
        training.finished(training.start())
    finally:
        subprocess.run(["umount", "--lazy", str(work)], check=True)
    assert_as_undisturbed(training, undisturbed, processes=1, submissions=2)
