"""`dino doctor --slurm`: compare slurm/settings.yaml with the cluster, and run a small job."""

import platform
import secrets
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from dino.core.artifacts import read_json
from dino.core.errors import ConfigurationError, DinoError
from dino.launch.cluster import cancel, ensure_reachable, past_state, queue, submit
from dino.launch.probe import TOKEN, Probe
from dino.launch.progress import LOGS, last_lines
from dino.launch.settings import PATH, JobSettings, read_settings
from dino.launch.settings_check import Check, settings_checks
from dino.launch.snapshot import job_prefix, setup_lines

_PROBE_MINUTES = 5
_WAIT_MINUTES = 10
_POLL_S = 1.0
_LAST_LINES_S = 20


def check_cluster(root: Path) -> int:
    """The exit code: 0 if the jobs of slurm/settings.yaml can run, 1 if something is to be mended.

    Prints each check; submits a job of the largest stage's shape, of five minutes at most.
    """
    settings = read_settings(root)
    ensure_reachable()
    jobs = {stage: settings.job(stage) for stage in settings.submit}
    largest = max(jobs.values(), key=lambda job: job.tasks, default=settings.defaults)
    fixes = []
    for check in (*settings_checks(jobs), *_tried(root, largest)):
        print(f"  {'to fix' if check.fix else 'ok':<8}{check.what:<14}{check.text}", flush=True)
        if check.fix:
            fixes.append(f"{check.what}: {check.fix}")
    if not fixes:
        print("\nThe cluster gives what slurm/settings.yaml asks for.")
        return 0
    print("\nTo do:")
    for fix in fixes:
        print(f"  - {fix}")
    return 1


def _tried(root: Path, job: JobSettings) -> Iterator[Check]:
    name = f"{job_prefix(root)}doctor-{secrets.token_hex(4)}"
    folder = root / "work" / "jobs" / name
    folder.mkdir(parents=True)
    token = secrets.token_hex(16)
    (folder / TOKEN).write_text(token)
    job = replace(job, minutes=min(job.minutes, _PROBE_MINUTES), signal_delay_s=30)
    try:
        setup = setup_lines(folder, root / "src")
        job_id = submit(name, folder / LOGS, job, setup, Probe(folder, token))
    except ConfigurationError as error:
        yield Check("job", "refused", str(error))
        shutil.rmtree(folder)
        return
    try:
        reports = _reports(folder, job_id, job.tasks)
        yield from _judged(folder, job, reports)
    except DinoError as error:
        yield Check("job", f"{job_id} gave no answer", str(error))
        return
    _forget(folder, job_id)


def _forget(folder: Path, job_id: str) -> None:
    # its processes write their last lines
    for _ in range(_LAST_LINES_S):
        if not any(job.job_id == job_id for job in queue()):
            break
        time.sleep(1)
    shutil.rmtree(folder, ignore_errors=True)


def _reports(folder: Path, job_id: str, tasks: int) -> list[dict[str, Any]]:
    """What the processes wrote, once all have; raises `DinoError` when they do not."""
    reason, asked_at, gone = "", 0.0, 0
    deadline = time.monotonic() + 60 * _WAIT_MINUTES
    while time.monotonic() < deadline:
        paths = sorted(folder.glob("[0-9]*.json"))
        if len(paths) == tasks:
            return [read_json(path) for path in paths]
        if time.monotonic() - asked_at > 5 * _POLL_S:
            asked_at = time.monotonic()
            mine = [job for job in queue() if job.job_id == job_id]
            gone = 0 if mine else gone + 1
            reason = f"{mine[0].state.lower()}, {mine[0].reason}" if mine else ""
            if gone == 3:
                log, lines = last_lines(folder)
                if log is None or not paths:
                    hint = f"perhaps its node does not see {folder.parents[2]}, or another Python "
                    hint += f"({sys.executable}): both have to be on a shared file system"
                else:
                    hint = "the nodes of the others do not work as those of the ones that did"
                raise DinoError(
                    f"it ended ({past_state(job_id)}) after {len(paths)} of {tasks} processes had "
                    f"reported; {hint}; {' / '.join(lines[-3:]) or 'no log'} ({log or folder})"
                )
        time.sleep(_POLL_S)
    cancel(job_id)
    raise DinoError(
        f"it did not end in {_WAIT_MINUTES} minutes ({reason or 'no state'}); ask for less in "
        f"{PATH}, or try when the cluster has room"
    )


def _judged(folder: Path, job: JobSettings, reports: list[dict[str, Any]]) -> Iterator[Check]:
    hosts = sorted({report["host"] for report in reports})
    yield Check("job", f"ran on {', '.join(hosts)} with {len(reports)} processes")
    unseen = sorted({report["host"] for report in reports if not report["token"]})
    yield Check(
        "file system",
        f"{folder.parents[2]} is the same on every node",
        f"{', '.join(unseen)} see other files; put the checkout on a shared file system"
        if unseen
        else None,
    )
    pythons = sorted({report["python"] for report in reports})
    torches = sorted({str(report["torch"]) for report in reports})
    same = pythons == [platform.python_version()] and torches == [torch.__version__]
    yield Check(
        "Python",
        f"{', '.join(pythons)} with torch {', '.join(torches)}",
        None
        if same
        else f"here it is {platform.python_version()} with torch {torch.__version__}; set `setup` "
        f"or `container` in {PATH} so that nodes and this machine have the same",
    )
    if not all(report["scontrol"] for report in reports):
        yield Check(
            "requeue",
            "scontrol is not found in the job",
            "bring SLURM's commands into the container, or keep the launcher running: it submits "
            "the next turn of a training that is longer than its time limit",
        )
    gpus = min(report["gpus"] or 0 for report in reports)
    yield Check("GPUs", _gpus_text(job, gpus), _gpus_fix(job, gpus))
    errors = [f"{report['host']}: {report['error']}" for report in reports if report["error"]]
    expected = sum(range(len(reports)))
    agree = all(report["sum"] == expected for report in reports)
    if errors:
        fix = f"{errors[0]}; the nodes must reach each other by name, on all ports"
        yield Check("all-reduce", "failed", fix)
    elif len(reports) > 1:
        backend = reports[0]["backend"]
        yield Check(
            "all-reduce",
            f"{backend} over {len(hosts)} nodes and {len(reports)} processes",
            None if agree else "the processes do not agree on a sum; ask the admin",
        )


def _gpus_text(job: JobSettings, seen: int) -> str:
    if job.gpus_per_node == 0:
        return "none asked for: training uses the processors"
    return f"{seen} usable of {job.gpus_per_node} asked for on each node"


def _gpus_fix(job: JobSettings, seen: int) -> str | None:
    if seen >= job.gpus_per_node:
        return None
    return (
        "torch sees fewer GPUs than SLURM gave; check the driver and the CUDA version of torch "
        f"(setup in {PATH}), or set gpus_per_node: 0 to train on processors"
    )
