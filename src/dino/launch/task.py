"""The code that runs in each process of a job."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from pkgutil import resolve_name

from submitit.helpers import DelayedSubmission, TorchDistributedEnvironment

from dino.core.artifacts import write_json, write_text
from dino.core.errors import DinoError, InterruptedTraining, SupersededError
from dino.launch.attempt import ensure_newest_attempt, join_attempt
from dino.launch.snapshot import RESULT, read_result

_UNFINISHED_TURNS = 10
"""How often a job is queued again if it ended before its work had begun."""
_ENDED_WITHIN_S = 60
"""The time that SLURM has to end a job that asked to be queued again."""


@dataclass(frozen=True)
class Task:
    """A command of dino, in the working folder of its job."""

    folder: Path
    arguments: tuple[str, ...]
    entry: str
    """MODULE:FUNCTION of the job's own copy of the code that runs `dino` with a list of arguments
    and raises what goes wrong.
    """

    def __call__(self) -> int:
        """Return 0, or end the process with another exit code.

        What the launcher believes stands in result.json, the last thing written: a process that
        was killed leaves none.
        """
        job_id = os.environ["SLURM_JOB_ID"]
        restarts = os.environ.get("SLURM_RESTART_COUNT", "0")
        is_main = export_ranks(job_id, restarts) == 0
        os.chdir(self.folder)
        os.environ["DINO_LAUNCHER"] = "local"
        # for what sets no number of threads by itself; a node may show more cores than were given
        os.environ.setdefault("OMP_NUM_THREADS", os.environ.get("SLURM_CPUS_PER_TASK", "1"))
        sys.argv = ["dino", *self.arguments]
        join_attempt(self.folder / "attempt", f"{job_id}.{restarts}", begin=is_main)
        if (read_result(self.folder) or {}).get("exit_code") == 0:
            # an attempt that was given up for dead had finished
            return 0
        try:
            code = self._run(job_id, is_main)
        except SupersededError as error:
            self._say(error)
            # what SLURM does about a failure, it would do to the newest attempt: it has this name
            code = 0
        if code:
            # at once: threads of a process group whose other members are gone may wait for ever
            os._exit(code)
        return code

    def _run(self, job_id: str, is_main: bool) -> int:
        try:
            resolve_name(self.entry)(list(self.arguments))
        except SupersededError:
            raise
        except InterruptedTraining as error:
            self._say(error)
            if is_main:
                _queue_again(job_id)
            _wait_for_the_end()
            return error.exit_code
        except DinoError as error:
            # any process may meet what the user has to mend
            self._leave_failure(job_id, str(error))
            return self._say(error)
        except Exception as error:
            # perhaps only because the others were told to end
            ensure_newest_attempt()
            if os.environ["WORLD_SIZE"] == "1":
                # of several processes, another one may have died and be at fault
                self._leave_failure(job_id, f"{type(error).__name__}: {error}")
            raise
        if is_main:
            self._leave({"exit_code": 0, "job_id": job_id})
        return 0

    def _say(self, error: DinoError) -> int:
        print(f"dino {self.arguments[0]}: {error}", file=sys.stderr, flush=True)
        return error.exit_code

    def checkpoint(self) -> DelayedSubmission | None:
        """What submitit queues again after a signal that the command itself does not handle.

        None, which ends the job, after too many of them: it may never come further.
        """
        path = self.folder / "unfinished_turns"
        turns = 1 + (int(path.read_text()) if path.is_file() else 0)
        write_text(path, str(turns))
        return DelayedSubmission(self) if turns <= _UNFINISHED_TURNS else None

    def _leave(self, result: dict[str, object]) -> None:
        ensure_newest_attempt()
        write_json(self.folder / RESULT, result)

    def _leave_failure(self, job_id: str, text: str) -> None:
        result = {"exit_code": 1, "job_id": job_id, "error": " ".join(text.split())}
        try:
            self._leave(result)
        except SupersededError:
            raise
        except DinoError as error:
            # on a full disk the log has to do
            self._say(error)


def export_ranks(job_id: str, restarts: str) -> int:
    """This process's rank; torch finds the others by the environment that is set here."""
    # below the ports that systems hand out to whoever asks for any, srun among them; another one
    # for each attempt, since the last one's may not be free yet
    os.environ["MASTER_PORT"] = str(18_000 + (7 * int(job_id) + int(restarts)) % 14_000)
    environment = TorchDistributedEnvironment()
    environment.export(set_cuda_visible_devices=False, overwrite=True)
    return environment.rank


def _queue_again(job_id: str) -> None:
    """Ask SLURM to queue this job again, unless it is being ended for good.

    scancel, too, begins with a signal: only a job that SLURM still calls running was interrupted
    by a time limit or a preemption that is to come.
    """
    for _ in range(10):
        try:
            ensure_newest_attempt()
            done = subprocess.run(
                ["squeue", "--noheader", f"--jobs={job_id}", "--format=%T"],
                capture_output=True, text=True, timeout=30,
            )  # fmt: skip
            if done.returncode == 0:
                if done.stdout.strip() == "RUNNING":
                    subprocess.run(["scontrol", "requeue", job_id], timeout=30, check=True)
                return
        except SupersededError:
            return
        except (OSError, subprocess.SubprocessError) as error:
            # the launcher submits again what has died with a newer checkpoint
            print(f"cannot be queued again: {error}", file=sys.stderr, flush=True)
            if isinstance(error, FileNotFoundError):
                return
        time.sleep(2)


def _wait_for_the_end() -> None:
    # the first process to leave would make SLURM call the job failed
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    time.sleep(_ENDED_WITHIN_S)
