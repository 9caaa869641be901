"""`dino doctor --slurm` and `dino jobs`."""

from cluster import RUN, SETTINGS, ask_for


def test_doctor_finds_that_all_is_well(training):
    ask_for(training.project, "pretrain", nodes=2, tasks_per_node=2)
    output = training.project("dino", "doctor", "--slurm")
    assert "to fix" not in output
    assert "ran on n1, n2 with 4 processes" in output
    assert "gloo over 2 nodes and 4 processes" in output
    assert "The cluster gives what slurm/settings.yaml asks for." in output
    # nothing of it is left
    assert not list((training.project.root / "work" / "jobs").glob("*"))


def test_doctor_says_what_to_mend(training):
    ask_for(training.project, partition="nowhere", account="nobody")
    output = training.project("dino", "doctor", "--slurm", succeeds=False)
    assert f"set partition in {SETTINGS} to one of main, urgent" in output
    assert f"account: set account in {SETTINGS} to one of lab" in output
    assert "Traceback" not in output

    ask_for(training.project, partition="main", account=None, gpus_per_node=1)
    ask_for(training.project, "linear", gpus_per_node=9, cpus_per_task=99)
    output = training.project("dino", "doctor", "--slurm", succeeds=False)
    assert "linear: lower gpus_per_node (at most 2), cpus_per_task (at most 4)" in output
    # SLURM gives a device that is none
    assert "GPUs: torch sees fewer GPUs than SLURM gave" in output


def test_jobs_shows_how_far_they_are(training):
    assert "no jobs were submitted" in training.project("dino", "jobs")
    launcher = training.start()
    with training.frozen() as job_id:
        header, line = training.project("dino", "jobs").splitlines()
        assert header.split() == ["STEP", "JOB", "STATE", "TIME", "WHAT"]
        assert line.startswith(f"pretrain-vit-dino-s0  {job_id}  running")
        assert "images/s" in line
        # and here, nobody trains beside it
        output = training.project("dino", "pretrain", "--run", RUN, succeeds=False)
        assert output.startswith(f"dino pretrain: job {job_id} is at work on this")
        assert len(output.splitlines()) == 1
    training.finished(launcher)
    assert "finished" in training.project("dino", "jobs")
