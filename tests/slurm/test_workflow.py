"""The literal commands of the README, on the cluster."""

import json
from pathlib import Path

import pytest
import yaml
from background import MATRIX, Background
from cluster import RUN, SETTINGS, Cluster, sha256_of_checkpoint
from workplace import Workplace

JOBS = {
    "pretrain": 4,
    "features": 1,
    "linear": 1,
    "linear_paper": 1,
    "attention": 1,
    "finetune": 1,
    "robustness": 1,
}
"""Stages that become jobs: their processes."""


@pytest.fixture
def computed(background: Background) -> Workplace:
    """The project after its whole workflow."""
    return background.workflow.result()


def test_heavy_stages_become_jobs_and_light_ones_run_here(computed: Workplace, cluster: Cluster):
    results = computed.root / "results"
    submissions = cluster.submissions(computed)
    assert len(submissions) == len(JOBS)
    for stage, processes in JOBS.items():
        provenance = json.loads((results / f"runs/{RUN}/provenance/{stage}.json").read_text())
        assert provenance["slurm_job"] in submissions
        assert provenance.get("processes", 1) == processes
    here = ("provenance/prepare/digits", "provenance/baselines")
    for name in (*here, f"runs/{RUN}/provenance/export", f"runs/{RUN}/provenance/knn"):
        assert json.loads((results / f"{name}.json").read_text())["slurm_job"] is None


def test_four_processes_on_two_nodes_give_the_bits_of_four_local_ones(
    background: Background, computed: Workplace
) -> None:
    assert background.four_local.result() == sha256_of_checkpoint(computed)


def test_results_carry_the_commit_and_the_command(computed: Workplace) -> None:
    head = computed("git", "rev-parse", "HEAD").strip()
    path = computed.root / "results" / "runs" / RUN / "provenance" / "pretrain.json"
    provenance = json.loads(path.read_text())
    assert provenance["git"] == {"commit": head, "dirty": False}
    assert provenance["command"] == f"dino pretrain --run {RUN}"


def test_nothing_runs_again_when_the_launcher_changes(computed: Workplace) -> None:
    assert computed.planned() == {}
    computed("dvc", "repro")
    assert computed.executed == []
    computed("snakemake", "--profile", "slurm")
    assert computed.executed == []


def test_dvc_submits_by_the_same_launcher(computed: Workplace, cluster: Cluster, tmp_path: Path):
    project = computed.copy(tmp_path / "project")
    project.set("linear.epochs", 3)
    project.variables["DINO_LAUNCHER"] = "slurm"
    output = project("dvc", "repro")
    assert "submitted job" in output
    assert len(cluster.submissions(project)) == 1
    del project.variables["DINO_LAUNCHER"]
    assert project.planned() == {}


def test_matrix_runs_under_a_limit_and_a_failing_run_stops_no_other(
    background: Background, cluster: Cluster
) -> None:
    done = background.matrix.result()
    assert "waiting: 2 jobs are at work" in done.output
    assert done.made == {path for path in MATRIX if "/b-" not in path}
    assert len(done.submissions) == len(MATRIX)
    assert _most_at_once(cluster, done.project) == 2


def test_after_mending_only_what_had_failed_is_submitted(background: Background) -> None:
    done = background.matrix.result()
    assert all((done.project.root / path).exists() for path in MATRIX)
    assert len(done.submissions_after_mending) == len(MATRIX) + 2


def _most_at_once(cluster: Cluster, project: Workplace) -> int:
    """How many jobs were submitted and not ended at one time."""
    events = []
    for job_id in cluster.submissions(project):
        fields = cluster("sacct", "-n", "-X", "-P", "-o", "Submit,End", "-j", job_id).strip()
        submitted, ended = fields.split("|")
        # of the same second, the end comes first: a limit lets the next one in after it
        events += [(submitted, 1, 1), (ended, 0, -1)]
    at_once = most = 0
    for *_, change in sorted(events):
        at_once += change
        most = max(most, at_once)
    return most


def test_wrong_settings_are_one_line(prepared: Workplace, tmp_path: Path) -> None:
    project = prepared.copy(tmp_path / "project")
    project.variables["DINO_LAUNCHER"] = "slurm"
    settings = project.root / SETTINGS
    good = yaml.safe_load(settings.read_text())
    for change, expected in (
        ({"submit": ["pretain"]}, "expected stages among"),
        ({"partition": "main"}, "slurm/settings.yaml.partition: unknown key"),
        ({"stages": {"features": {"nodes": 2}}}, "only pretrain is divided"),
        ({"stages": {"pretrain": {"minutes": -1}}}, "slurm/settings.yaml: stages.pretrain.minutes"),
    ):
        settings.write_text(yaml.safe_dump({**good, **change}))
        output = project("dino", "pretrain", "--run", RUN, succeeds=False)
        assert expected in output
        assert len(output.splitlines()) == 1
