"""The settings in slurm/settings.yaml, which say what jobs ask for; they change no result."""

import dataclasses
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from dino.core.configuration.number import NonNegativeInt, PositiveFloat, PositiveInt
from dino.core.configuration.section import parse, section
from dino.core.errors import ConfigurationError
from dino.core.yaml_file import read_yaml

PATH = Path("slurm") / "settings.yaml"


@section
class JobSettings:
    """The request of a job to sbatch; null leaves the choice to the cluster."""

    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    nodes: PositiveInt = 1
    tasks_per_node: PositiveInt = 1
    """Processes on each node: for training, one for each GPU."""
    gpus_per_node: NonNegativeInt = 1
    cpus_per_task: PositiveInt = 4
    memory_gb: PositiveFloat | None = None
    """The memory of each node."""
    minutes: PositiveInt = 240
    """The time after which SLURM ends the job; it is then queued again and continues."""
    signal_delay_s: PositiveInt = 120
    """How long before the end of its time a training is told to save."""
    setup: tuple[str, ...] = ()
    """Lines of shell before the processes start, such as `module load cuda`."""
    container: str | None = None
    """Command in front of python, such as `apptainer exec --nv image.sif`."""
    exclude: str | None = None
    """Nodes to stay away from, such as gpu[17,23]."""

    @model_validator(mode="after")
    def _time_is_left_to_train(self) -> Self:
        if self.signal_delay_s > 30 * self.minutes:
            raise ValueError(
                f"expected signal_delay_s of at most half of the {self.minutes} minutes, got "
                f"{self.signal_delay_s} seconds"
            )
        return self

    @property
    def tasks(self) -> int:
        """Processes of a job, on all of its nodes."""
        return self.nodes * self.tasks_per_node


@section
class SlurmSettings:
    """The whole of slurm/settings.yaml."""

    submit: tuple[str, ...] = (
        "pretrain",
        "features",
        "linear",
        "linear_paper",
        "attention",
        "finetune",
        "robustness",
    )
    """The stages that become jobs; the others run where the command was given."""
    jobs_at_once: PositiveInt = 16
    """The number of this checkout's jobs that wait or run; further ones are held back."""
    poll_seconds: PositiveFloat = 20
    """The time between two questions to the controller about one job."""
    on_interrupt: Literal["detach", "cancel"] = "detach"
    """What Ctrl-C does to the job that is watched."""
    retries: NonNegativeInt = 3
    """How often in a row a job that died without a word is submitted again, unless it left a newer
    checkpoint than the one before."""
    defaults: JobSettings = Field(default_factory=JobSettings)
    stages: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """The values by which a stage differs from `defaults`, by stage."""

    @model_validator(mode="after")
    def _stages_can_be_submitted(self) -> Self:
        for stage in (*self.submit, *self.stages):
            self.job(stage)
        return self

    def job(self, stage: str) -> JobSettings:
        """What a job of `stage` asks for; raises `ConfigurationError` for a wrong value."""
        values = {
            field.name: getattr(self.defaults, field.name)
            for field in dataclasses.fields(self.defaults)
        }
        values |= self.stages.get(stage, {})
        job = parse(JobSettings, values, where=f"{PATH}: stages.{stage}")
        if stage == "pretrain" and job.gpus_per_node not in (0, job.tasks_per_node):
            raise ConfigurationError(
                f"{PATH}: stages.pretrain: expected tasks_per_node {job.gpus_per_node}, one "
                f"process for each of the gpus_per_node, got {job.tasks_per_node}"
            )
        if stage != "pretrain" and job.tasks > 1:
            raise ConfigurationError(
                f"{PATH}: stages.{stage}: expected one process, since only pretrain is divided "
                f"among several, got {job.nodes} nodes of {job.tasks_per_node} tasks"
            )
        return job


def read_settings(root: Path) -> SlurmSettings:
    """The validated settings of the project at `root`."""
    values = read_yaml(root / PATH, hint=f"`git checkout -- {PATH}` brings it back")
    settings = parse(SlurmSettings, values, where=str(PATH))
    known = read_yaml(root / "dvc.yaml")["stages"]
    for stage in (*settings.submit, *settings.stages):
        if stage not in known:
            raise ConfigurationError(
                f"{PATH}: expected stages among {', '.join(known)}, got {stage}"
            )
    return settings
