"""What takes half a minute on the cluster each, beside the tests that leave it in peace."""

import shutil
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

from cluster import (
    PARAMETERS,
    RUN,
    SETTINGS,
    Cluster,
    Training,
    ask_for,
    sha256_of_checkpoint,
)
from workplace import Workplace, fresh_clone

MATRIX = [f"artifacts/{a}-dino-s{seed}/checkpoint.pth" for a in "abc" for seed in (0, 1)]


def whole_workflow(cluster: Cluster, root: Path) -> Workplace:
    """`snakemake --profile slurm` in a fresh clone, with pretraining by 2 processes on 2 nodes."""
    pretrain = {**PARAMETERS["pretrain"], "epochs": 2}
    project = fresh_clone(root, {**PARAMETERS, "pretrain": pretrain})
    project.variables = {**cluster.variables}
    ask_for(project, minutes=60, cpus_per_task=1, gpus_per_node=1)
    ask_for(project, "pretrain", nodes=2, tasks_per_node=2, gpus_per_node=2)
    project.commit("settings of this cluster")
    project("snakemake", "--profile", "slurm")
    return project


@dataclass(frozen=True)
class Matrix:
    """Three architectures with two seeds, of which one architecture cannot be built."""

    project: Workplace
    output: str
    made: set[str]
    """Of MATRIX, after the first attempt."""
    submissions: list[str]
    submissions_after_mending: list[str]


def matrix(cluster: Cluster, project: Workplace) -> Matrix:
    """Two jobs at once; then the failing architecture is mended, and the command given again."""
    vit = PARAMETERS["architectures"]["vit"]
    # a name that timm does not know, which only the job notices
    variants = {"a": vit, "b": {**vit, "timm_name": "vit_unheard_of"}, "c": {**vit, "depth": 3}}
    project.set("architectures", variants)
    project.set("runs.architecture", ["a", "b", "c"])
    project.set("runs.seed", [0, 1])
    project.set("pretrain.epochs", 1)
    project.set("jobs_at_once", 2, SETTINGS)
    output = project("snakemake", "--profile", "slurm", *MATRIX, succeeds=False)
    made = {path for path in MATRIX if (project.root / path).exists()}
    submissions = cluster.submissions(project)
    project.set("architectures.b", vit)
    project("snakemake", "--profile", "slurm", *MATRIX)
    return Matrix(project, output, made, submissions, cluster.submissions(project))


def chained(training: Training) -> Training:
    """A training that is longer than its time limit."""
    ask_for(training.project, signal_delay_s=55)
    launcher = training.start()
    with training.frozen() as job_id:
        # SLURM looks at time limits twice a minute
        training.cluster("scontrol", "update", f"JobId={job_id}", "TimeLimit=1")
        training.wait_for_notice(job_id)
    training.finished(launcher)
    return training


def moved(training: Training) -> Training:
    """A training that goes on with another number of processes."""
    ask_for(training.project, "pretrain", nodes=2)
    launcher = training.start()
    with training.frozen() as job_id:
        training.cluster("scancel", job_id)
    training.finished(launcher, code=1)
    ask_for(training.project, "pretrain", nodes=1)
    training.finished(training.start())
    return training


class Background:
    """All of them, one after the other."""

    def __init__(self, cluster: Cluster, prepared: Workplace, folder: Path) -> None:
        self._executor = ThreadPoolExecutor(1)
        self.workflow: Future[Workplace] = self._executor.submit(
            whole_workflow, cluster, folder / "workflow" / "project"
        )
        self.four_local: Future[str] = self._executor.submit(
            self._four_local, folder / "four" / "project"
        )
        self.matrix: Future[Matrix] = self._executor.submit(
            matrix, cluster, prepared.copy(folder / "matrix" / "project")
        )
        training = Training(prepared.copy(folder / "chained" / "project"), cluster)
        self.chained: Future[Training] = self._executor.submit(chained, training)
        training = Training(prepared.copy(folder / "moved" / "project"), cluster)
        self.moved: Future[Training] = self._executor.submit(moved, training)

    def _four_local(self, root: Path) -> str:
        """The hash of the workflow's checkpoint when four processes of this machine train it."""
        project = self.workflow.result().copy(root)
        shutil.rmtree(root / "work")
        shutil.rmtree(root / "artifacts")
        project.variables["DINO_PROCESSES"] = "4"
        project("dino", "pretrain", "--run", RUN)
        return sha256_of_checkpoint(project)

    def wait(self) -> None:
        """Until all have ended, well or not."""
        wait([self.workflow, self.four_local, self.matrix, self.chained, self.moved])
        self._executor.shutdown()
