"""SLURM's commands: submission through submitit, the queue, and the accounting."""

import getpass
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stderr
from dataclasses import dataclass
from pathlib import Path

import submitit
from submitit.core.utils import FailedJobError, FailedSubmissionError
from submitit.helpers import clean_env

from dino.core.errors import ConfigurationError, DinoError
from dino.launch.settings import PATH, JobSettings

_TIMEOUT_S = 60
_UNREACHABLE = re.compile(
    r"unable to contact|connection refused|timed out|zero bytes|unexpected message|"
    r"temporarily (unable|unavailable)|connection failure|controller is currently down",
    re.IGNORECASE,
)
_WITHOUT = "without a cluster unset DINO_LAUNCHER, and run snakemake without --profile slurm"
_CAUSES = {
    r"configuration (source|file)|fetch_config": (
        "no cluster is configured on this machine (expected /etc/slurm/slurm.conf, or SLURM_CONF "
        "with the path of such a file)"
    ),
    r"get_addr_info|Unable to resolve|control machine address": (
        "the name of the controller's host in slurm.conf cannot be resolved from here"
    ),
}
"""The meaning of SLURM's messages, by a text that one of their lines holds."""
ALIVE = frozenset(
    {"PENDING", "RUNNING", "CONFIGURING", "COMPLETING", "SUSPENDED", "STOPPED", "SIGNALING"}
    | {"REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT", "RESIZING", "STAGE_OUT"}
)
"""The states of a job that is at work, or will be again."""


class ControllerUnreachableError(DinoError):
    """An error for a controller that does not answer, which says nothing about the jobs."""


@dataclass(frozen=True)
class QueuedJob:
    """A job that the controller knows."""

    job_id: str
    name: str
    state: str
    reason: str
    """The reason why it waits, such as Resources; None while it runs."""
    nodes: str
    """The nodes on which it runs, such as n[1-2]; empty while it waits."""
    elapsed: str
    """The time for which it has been running, such as 1-02:03:04."""


def submit(
    name: str,
    folder: Path,
    settings: JobSettings,
    setup: list[str],
    task: Callable[[], int],
    *,
    continues: bool = False,
) -> str:
    """The id of the new job that calls `task` in each of its processes; its logs lie in `folder`.

    `setup` are lines of shell before that, after the settings' own. `continues` says of a task
    that a new turn goes on where the time limit ended the last: otherwise it would be queued
    again for ever. While another job of this name is at work the new one waits (SLURM's
    dependency `singleton`). Raises `ConfigurationError` with SLURM's reason when it refuses.
    """
    python = shlex.quote(sys.executable)
    if settings.container:
        python = f"{settings.container} {python}"
    try:
        executor = submitit.SlurmExecutor(
            folder, max_num_timeout=10**6 if continues else 0, python=python
        )
        executor.update_parameters(
            job_name=name,
            time=settings.minutes,
            nodes=settings.nodes,
            ntasks_per_node=settings.tasks_per_node,
            cpus_per_task=settings.cpus_per_task,
            gpus_per_node=settings.gpus_per_node or None,
            mem=None if settings.memory_gb is None else f"{round(1024 * settings.memory_gb)}M",
            partition=settings.partition,
            account=settings.account,
            qos=settings.qos,
            constraint=settings.constraint,
            exclude=settings.exclude,
            signal_delay_s=settings.signal_delay_s,
            dependency="singleton",
            wckey=None,
            additional_parameters={"requeue": True},
            setup=[*settings.setup, *setup],
            # srun no longer inherits cpus-per-task from sbatch (since SLURM 22.05); without
            # kill-on-bad-exit the others would wait for a process that died until the time is up
            srun_args=[f"--cpus-per-task={settings.cpus_per_task}", "--kill-on-bad-exit=1"],
        )
        # submitit prints what it raises
        configuration = os.environ.get("SLURM_CONF")
        with clean_env(), redirect_stderr(io.StringIO()):
            if configuration is not None:
                # says which cluster, not which job we may be in
                os.environ["SLURM_CONF"] = configuration
            return str(executor.submit(task).job_id)
    except (FailedJobError, FailedSubmissionError, subprocess.CalledProcessError) as error:
        text = str(getattr(error, "stderr", None) or error)
        if _UNREACHABLE.search(text):
            raise ControllerUnreachableError(f"sbatch: {_one_line(text)}") from None
        raise ConfigurationError(
            f"SLURM refused the job: {_one_line(text)}; correct {PATH}, "
            "`dino doctor --slurm` checks it"
        ) from None
    except RuntimeError as error:
        # submitit found no srun
        raise ConfigurationError(
            f"{error} SLURM's commands have to be on PATH; {_WITHOUT}"
        ) from None


def ensure_reachable() -> None:
    """Raise a `DinoError` unless SLURM's commands are here and its controller answers."""
    for command in ("sbatch", "srun", "squeue", "scancel"):
        if shutil.which(command) is None:
            raise _missing(command)
    # without it the commands look for the file, again and again, for a minute
    configuration = os.environ.get("SLURM_CONF")
    if configuration is not None and not Path(configuration).is_file():
        raise ConfigurationError(f"SLURM_CONF: {configuration} not found; {_WITHOUT}")
    queue()


def _missing(command: str) -> ConfigurationError:
    return ConfigurationError(
        f"{command}: not found; SLURM's commands have to be on PATH; {_WITHOUT}"
    )


def queue() -> list[QueuedJob]:
    """This user's jobs that are at work; raises `ControllerUnreachableError`."""
    fields = "%i|%j|%T|%r|%N|%M"
    lines = ask("squeue", "--noheader", f"--user={getpass.getuser()}", f"--format={fields}")
    jobs = [QueuedJob(*line.strip().split("|")) for line in lines if line.count("|") == 5]
    return [job for job in jobs if job.state in ALIVE]


def past_state(job_id: str) -> str | None:
    """The state of a job by the accounting, or without one by the controller; None if unknown.

    One word, such as COMPLETED, CANCELLED or NODE_FAIL.
    """
    try:
        lines = ask(
            "sacct", "--noheader", "--allocations", "--parsable2", "--format=State", "-j", job_id
        )
        states = [line.split()[0] for line in lines if line.strip()]
    except DinoError:
        # no accounting, or not now: the controller remembers for some minutes
        states = _states_by_controller(job_id)
    return states[-1] if states else None


def _states_by_controller(job_id: str) -> list[str]:
    try:
        lines = ask("scontrol", "--oneliner", "show", "job", job_id)
    except ControllerUnreachableError:
        raise
    except DinoError:
        return []
    return re.findall(r"\bJobState=(\w+)", "\n".join(lines))


def cancel(job_id: str) -> None:
    """End a job, whether it waits or runs."""
    ask("scancel", job_id)


def ask(*command: str) -> list[str]:
    """The lines that one of SLURM's commands prints.

    Raises `ControllerUnreachableError` when it got no answer, `DinoError` for any other failure.
    """
    # SLURM_CONF says where the cluster is; the other variables belong to a job that we may be in
    kept = {
        key: value
        for key, value in os.environ.items()
        if key == "SLURM_CONF" or not key.startswith(("SLURM_", "SQUEUE_", "SACCT_"))
    }
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, env=kept)
    except FileNotFoundError:
        raise _missing(command[0]) from None
    except subprocess.TimeoutExpired:
        raise ControllerUnreachableError(
            f"{command[0]}: no answer in {_TIMEOUT_S} seconds"
        ) from None
    if done.returncode:
        text = _one_line(done.stderr or done.stdout) or f"exit code {done.returncode}"
        kind = ControllerUnreachableError if _UNREACHABLE.search(text) else DinoError
        raise kind(f"{command[0]}: {text}")
    return done.stdout.splitlines()


def _one_line(text: str) -> str:
    """SLURM's own complaints in `text`, without the program's name and what is around them."""
    for pattern, cause in _CAUSES.items():
        if re.search(pattern, text):
            return f"{cause}; {_WITHOUT}"
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    complaints = [re.sub(r"^\w+: (error|fatal): ", "", line) for line in lines if "error:" in line]
    return "; ".join(dict.fromkeys(complaints or lines))
