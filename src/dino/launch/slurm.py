"""A stage as a SLURM job: submit it once, watch it, take over what it has made.

The command that an engine runs is this watcher; it may be killed and started again at any time,
several times at once, and there is still one job.
"""

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from dino.core.errors import JobError
from dino.core.locking import waiting
from dino.core.paths import Project
from dino.core.pipeline import Step
from dino.launch.cluster import (
    ALIVE,
    ControllerUnreachableError,
    QueuedJob,
    cancel,
    past_state,
    queue,
    submit,
)
from dino.launch.job_record import JobRecord
from dino.launch.progress import LOGS, last_lines, progress
from dino.launch.settings import SlurmSettings
from dino.launch.snapshot import RESULT, Snapshot, job_prefix, read_result
from dino.launch.task import Task

_READINGS = 4
"""How often in a row a job has to look ended before it counts as ended."""
_MARKER_SECONDS = 1.0
"""The time between two looks for the job's last file, which cost the controller nothing."""
_TELL_SECONDS = 30.0
_TRIED_AGAIN = frozenset(
    {None, "TIMEOUT", "PREEMPTED", "NODE_FAIL", "BOOT_FAIL", "FAILED", "COMPLETED", "REQUEUED"}
)
"""The states after which a job without a last file is submitted again; None: SLURM forgot it."""


def run_on_slurm(root: Path, step: Step, settings: SlurmSettings, entry: str) -> None:
    """Let a job compute `step` of the project at `root`, and publish its files.

    `entry` is what the job's processes call with the step's arguments (see `Task`). Raises
    `JobError` when the job has failed or was cancelled, `KeyboardInterrupt` after an interruption.
    """
    watcher = _Watcher(Snapshot(root, step), settings, entry)
    with _terminated_is_interrupted():
        try:
            watcher.watch()
        except KeyboardInterrupt:
            watcher.leave()
            raise
        except OSError as error:
            where = error.filename or root / "work" / "jobs"
            raise JobError(
                f"{where}: {error.strerror or error}; mend that and run the command again: a job "
                "that was submitted goes on"
            ) from None


class _Watcher:
    def __init__(self, snapshot: Snapshot, settings: SlurmSettings, entry: str) -> None:
        self.snapshot = snapshot
        self.settings = settings
        self.entry = entry
        run = snapshot.step.run
        state = None if run is None else Project(root=snapshot.root).run(run).work
        self.record = JobRecord(snapshot.folder, state)
        self.readings = 0
        """How often in a row the job looked ended."""
        self.seen_at_work = False
        self.told = ("", 0.0)

    def watch(self) -> None:
        """Return when the job's files are published."""
        job_id = self._job()
        asked_at = 0.0
        while True:
            result = read_result(self.snapshot.folder)
            if result is not None:
                return self._finish(result)
            if not self.snapshot.folder.is_dir():
                raise JobError(f"{self.snapshot.folder} was deleted; run the command again")
            if time.monotonic() - asked_at >= self.settings.poll_seconds:
                job_id = self._look(job_id)
                asked_at = time.monotonic()
            time.sleep(min(_MARKER_SECONDS, self.settings.poll_seconds))

    def leave(self) -> None:
        """Say how the job goes on after Ctrl-C, or end it, as configured."""
        try:
            job_id = next((job.job_id for job in self._mine()), None)
        except ControllerUnreachableError:
            job_id = self.record.job_id
        if job_id is None:
            return self._say("no job is at work")
        if self.settings.on_interrupt == "cancel":
            cancel(job_id)
            self._say(f"job {job_id} is cancelled")
        else:
            self._say(
                f"detached: job {job_id} goes on; the same command watches it again, "
                f"`scancel {job_id}` ends it"
            )
        return None

    # ---- decisions

    def _job(self, dead: str | None = None) -> str:
        """The id of the one job of this step: found, or submitted, in place of the `dead` one."""
        while True:
            try:
                with waiting(self.snapshot.root, "launch"):
                    job_id = self._found(dead) or self._submitted(dead)
                if job_id is not None:
                    return job_id
            except ControllerUnreachableError as error:
                self._tell(f"waiting for the controller ({error})")
            time.sleep(self.settings.poll_seconds)

    def _found(self, dead: str | None) -> str | None:
        """The id of a job that does this work, or has done it."""
        result = read_result(self.snapshot.folder)
        if result is not None and dead is not None and str(result["job_id"]) == dead:
            # its last word has come after all
            return dead
        if result is not None:
            if result["exit_code"] == 0:
                self._say(f"job {result['job_id']} has computed this already")
                return str(result["job_id"])
            # of an earlier command, which has told the user
            (self.snapshot.folder / RESULT).unlink()
            self.record.note_end(str(result["job_id"]))
        recorded = self.record.job_id
        # without a record, its launcher was killed before it could note the id
        job_id = next((job.job_id for job in self._mine()), recorded)
        if job_id is None or job_id == dead:
            return None
        if job_id != recorded:
            self.record.note(job_id)
        self._say(f"watching job {job_id}")
        return job_id

    def _submitted(self, dead: str | None) -> str | None:
        """The id of a new job; None while as many as allowed are at work."""
        snapshot, settings = self.snapshot, self.settings
        jobs = [job for job in queue() if job.name.startswith(job_prefix(snapshot.root))]
        at_once = len(jobs)
        if at_once >= settings.jobs_at_once:
            self._tell(
                f"waiting: {at_once} jobs are at work, and jobs_at_once in slurm/settings.yaml "
                f"is {settings.jobs_at_once}"
            )
            return None
        failures = 0 if dead is None else self._failures_so_far(dead)
        snapshot.make()
        task = Task(snapshot.folder, tuple(snapshot.arguments), self.entry)
        stage = snapshot.step.stage
        job_id = submit(
            snapshot.job_name,
            snapshot.folder / LOGS,
            settings.job(stage),
            snapshot.setup,
            task,
            continues=stage == "pretrain",
        )
        self.record.note(job_id, failures)
        self.seen_at_work = True
        for other in jobs:
            if other.name.rpartition("-")[0] == snapshot.job_name.rpartition("-")[0]:
                self._say(
                    f"job {other.job_id} is at work on this step with other parameters, code or "
                    f"inputs; `scancel {other.job_id}` ends it"
                )
        self._say(f"submitted job {job_id} ({snapshot.job_name})")
        return job_id

    def _failures_so_far(self, dead: str) -> int:
        """The number of jobs in a row that died without a message and without a newer checkpoint.

        Raises `JobError` when these are too many.
        """
        if not self.seen_at_work:
            # it ended while nobody watched: this is a new command, not a new attempt
            return 0
        failures = self.record.failures_with(dead)
        if failures > self.settings.retries:
            raise self._failure(
                f"job {dead} and the {failures - 1} before it ended without a result and without "
                "a newer checkpoint",
                dead,
            )
        return failures

    def _look(self, job_id: str) -> str:
        """Ask SLURM about the job; the id of the one to watch from now on."""
        try:
            mine = self._mine()
            if mine:
                self.readings = 0
                self.seen_at_work = True
                self._tell(_description(mine[-1], self.snapshot.folder))
                return mine[-1].job_id
            state = past_state(job_id)
        except ControllerUnreachableError as error:
            self._tell(f"job {job_id}: no news ({error})")
            return job_id
        self.readings += 1
        if state in ALIVE and self.readings < 10 * _READINGS:
            # the accounting is behind
            return job_id
        if self.readings < _READINGS or read_result(self.snapshot.folder) is not None:
            return job_id
        self.readings = 0
        how = f"job {job_id} has ended without a result ({state or 'SLURM has forgotten it'})"
        if state == "OUT_OF_MEMORY":
            how += "; raise memory_gb in slurm/settings.yaml, or pretrain.micro_batches"
        if state not in (*_TRIED_AGAIN, *ALIVE) and self.seen_at_work:
            raise self._failure(f"{how}; the same command submits it again", job_id)
        self._say(how)
        return self._job(dead=job_id)

    def _mine(self) -> list[QueuedJob]:
        return [job for job in queue() if job.name == self.snapshot.job_name]

    def _finish(self, result: dict[str, object]) -> None:
        if result["exit_code"] != 0:
            job_id = str(result["job_id"])
            raise self._failure(f"job {job_id}: {result['error']}", job_id)
        with waiting(self.snapshot.root, "launch"):
            self.snapshot.publish()
            self.snapshot.remove_older()
        self._say(f"job {result['job_id']} has finished")

    def _failure(self, text: str, job_id: str) -> JobError:
        log, lines = last_lines(self.snapshot.folder)
        for line in lines:
            self._print(f"  | {line}")
        self.record.note_end(job_id)
        return JobError(f"{text}; log: {log}" if log else text)

    # ---- notes

    def _tell(self, text: str) -> None:
        """Print what is new, and now and then what has not changed."""
        before, at = self.told
        if text != before and (time.monotonic() - at >= _TELL_SECONDS or _news(text, before)):
            self._say(text)
            self.told = (text, time.monotonic())

    def _say(self, text: str) -> None:
        self._print(f"{self.snapshot.home.name}: {text}")

    def _print(self, text: str) -> None:
        # an interruption may have ended whoever was reading
        with suppress(BrokenPipeError):
            print(text, file=sys.stderr, flush=True)


def _description(job: QueuedJob, folder: Path) -> str:
    text = f"job {job.job_id} is {job.state.lower()}"
    if job.state == "RUNNING":
        now = progress(folder)
        return f"{text} on {job.nodes}" + (f": {now}" if now else "")
    return text + (f" ({job.reason})" if job.reason not in ("None", "") else "")


def _news(text: str, before: str) -> bool:
    """Whether more has changed than the numbers of a progress bar."""
    return text.split(":")[0] != before.split(":")[0]


@contextmanager
def _terminated_is_interrupted() -> Iterator[None]:
    """A block in which SIGTERM, with which engines end their commands, is like Ctrl-C."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
