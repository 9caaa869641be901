"""The literal commands of the README, on the cluster."""

import json
from pathlib import Path

import pytest
import yaml
from cluster import PARAMETERS, SETTINGS, Cluster, ask_for
from workplace import Workplace, fresh_clone

# the first to need a whole run on the cluster waits for it
pytestmark = pytest.mark.timeout(600)

RUN = "vit-dino-s0"
JOBS = {"pretrain": 4, "features": 1, "linear": 1, "attention": 1}
"""Stages that become jobs: their processes."""


@pytest.fixture(scope="module")
def computed(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    """`snakemake --profile slurm` in a fresh clone, with pretraining by 2 processes on 2 nodes."""
    pretrain = {**PARAMETERS["pretrain"], "epochs": 2}
    root = tmp_path_factory.mktemp("dag") / "project"
    project = fresh_clone(root, {**PARAMETERS, "pretrain": pretrain})
    project.variables = {**cluster.variables}
    ask_for(project, minutes=60, cpus_per_task=1, gpus_per_node=1)
    ask_for(project, "pretrain", nodes=2, tasks_per_node=2, gpus_per_node=2)
    project.commit("settings of this cluster")
    (root.parent / "output").write_text(project("snakemake", "--profile", "slurm"))
    return project


def test_heavy_stages_become_jobs_and_light_ones_run_here(computed: Workplace, cluster: Cluster):
    lines = cluster("sacct", "-n", "-X", "-P", "-o", "JobName,NTasks,NNodes,State,AllocTRES")
    for stage in ("prepare", "export", "knn", "baselines", "report"):
        provenance = next((computed.root / "results").rglob(f"{stage}.json"), None)
        assert stage == "report" or provenance is not None
    assert len(cluster.submissions(computed)) == len(JOBS)
    for stage, processes in JOBS.items():
        path = computed.root / "results" / "runs" / RUN / "provenance" / f"{stage}.json"
        provenance = json.loads(path.read_text())
        assert provenance["slurm_job"] in cluster.submissions(computed)
        assert provenance.get("processes", 1) == processes
        assert f"-{stage}-{RUN}-" in lines
    knn = computed.root / "results" / "runs" / RUN / "provenance" / "knn.json"
    assert json.loads(knn.read_text())["slurm_job"] is None


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
    prepared: Workplace, cluster: Cluster, tmp_path: Path
) -> None:
    project = prepared.copy(tmp_path / "project")
    vit = PARAMETERS["architectures"]["vit"]
    # a name that timm does not know, which only the job notices
    variants = {"a": vit, "b": {**vit, "timm_name": "vit_unheard_of"}, "c": {**vit, "depth": 3}}
    project.set("architectures", variants)
    project.set("runs", {"architecture": ["a", "b", "c"], "seed": [0, 1]})
    project.set("pretrain.epochs", 1)
    project.set("jobs_at_once", 2, SETTINGS)
    project.set("retries", 0, SETTINGS)
    wanted = [f"artifacts/{a}-dino-s{seed}/checkpoint.pth" for a in "abc" for seed in (0, 1)]
    output = project("snakemake", "--profile", "slurm", *wanted, succeeds=False)
    assert "waiting: 2 jobs are at work" in output
    made = {path for path in wanted if (project.root / path).exists()}
    assert made == {path for path in wanted if "/b-" not in path}
    assert len(cluster.submissions(project)) == 6
    assert _most_at_once(cluster, project) == 2

    project.set("architectures.b", vit)
    project("snakemake", "--profile", "slurm", *wanted)
    assert all((project.root / path).exists() for path in wanted)
    assert len(cluster.submissions(project)) == 8


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
