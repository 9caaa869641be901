"""`dino doctor --slurm`: slurm/settings.yaml held against the cluster, and a small job in it."""

import getpass
import platform
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from dino.core.artifacts import read_json
from dino.core.errors import ConfigurationError, DinoError
from dino.launch.cluster import ask, cancel, past_state, queue, submit
from dino.launch.probe import TOKEN, Probe
from dino.launch.progress import LOGS, last_lines
from dino.launch.settings import PATH, JobSettings, read_settings
from dino.launch.snapshot import job_prefix, setup_lines

_PROBE_MINUTES = 5
_WAIT_MINUTES = 10
_POLL_S = 1.0


@dataclass(frozen=True)
class Check:
    """One line of the report."""

    what: str
    text: str
    fix: str | None = None
    """What to do about it; None where all is well."""


def check_cluster(root: Path) -> int:
    """0 when jobs as slurm/settings.yaml describes them can run, 1 when something is to be mended.

    Prints each check; submits a job of the largest stage's shape, of five minutes at most.
    """
    settings = read_settings(root)
    jobs = {stage: settings.job(stage) for stage in settings.submit}
    largest = max(jobs.values(), key=lambda job: job.tasks, default=settings.defaults)
    fixes = []
    for check in (*_asked(jobs), *_tried(root, largest)):
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


# ---- what the controller says of the settings


def _asked(jobs: dict[str, JobSettings]) -> Iterator[Check]:
    version = ask("sinfo", "--version")
    yield Check("SLURM", " ".join(version))
    partitions = _partitions()
    for wanted in dict.fromkeys((job.partition, job.account, job.qos) for job in jobs.values()):
        yield from _account(*wanted[1:])
    for stage, job in jobs.items():
        yield from _partition(stage, job, partitions)


@dataclass(frozen=True)
class _Partition:
    name: str
    is_default: bool
    minutes: float
    nodes: int
    cpus: int
    memory_mb: int
    gpus: int


def _partitions() -> dict[str, _Partition]:
    found: dict[str, _Partition] = {}
    for line in ask("sinfo", "--noheader", "--format=%P|%l|%D|%c|%m|%G"):
        name, limit, nodes, cpus, memory_mb, gres = line.strip().split("|")
        before = found.get(name.rstrip("*"))
        now = _Partition(
            name=name.rstrip("*"),
            is_default=name.endswith("*"),
            minutes=_minutes(limit),
            nodes=_leading(nodes),
            cpus=_leading(cpus),
            memory_mb=_leading(memory_mb),
            gpus=sum(int(count) for count in re.findall(r"gpu:(?:[^:,(]+:)?(\d+)", gres)),
        )
        if before is not None:
            # a line for each kind of node: together they have so many, the best has so much
            now = replace(
                now,
                nodes=before.nodes + now.nodes,
                cpus=max(before.cpus, now.cpus),
                memory_mb=max(before.memory_mb, now.memory_mb),
                gpus=max(before.gpus, now.gpus),
            )
        found[now.name] = now
    return found


def _partition(stage: str, job: JobSettings, known: dict[str, _Partition]) -> Iterator[Check]:
    default = next((name for name, partition in known.items() if partition.is_default), None)
    name = job.partition or default
    if name is None or name not in known:
        yield Check(
            stage,
            f"partition {name or 'not named, and the cluster has no default'}",
            f"set partition in {PATH} to one of {', '.join(known) or 'none: sinfo shows nothing'}",
        )
        return
    partition = known[name]
    wrong = {
        "nodes": (job.nodes, partition.nodes),
        "gpus_per_node": (job.gpus_per_node, partition.gpus),
        "cpus_per_task": (job.cpus_per_task * job.tasks_per_node, partition.cpus),
        "memory_gb": ((job.memory_gb or 0) * 1024, partition.memory_mb),
        "minutes": (job.minutes, partition.minutes),
    }
    shape = (
        f"partition {name}, nodes {job.nodes}, processes {job.tasks_per_node} and GPUs "
        f"{job.gpus_per_node} on each, cores {job.cpus_per_task} a process, {job.minutes} minutes"
    )
    too_much = {key: limit for key, (wanted, limit) in wrong.items() if wanted > limit}
    if too_much:
        limits = ", ".join(f"{key} (at most {limit:g})" for key, limit in too_much.items())
        yield Check(stage, shape, f"lower {limits} in {PATH}, or name another partition")
    else:
        yield Check(stage, shape)


def _account(account: str | None, qos: str | None) -> Iterator[Check]:
    user = getpass.getuser()
    try:
        lines = ask(
            "sacctmgr", "--noheader", "--parsable2", "show", "associations", f"user={user}",
            "format=Account,QOS",
        )  # fmt: skip
    except DinoError as error:
        yield Check("account", f"cannot be checked ({error})")
        return
    allowed = [line.split("|") for line in lines if "|" in line]
    accounts = sorted({name for name, _ in allowed})
    known_qos = sorted({name for _, names in allowed for name in names.split(",") if name})
    if account is not None and account not in accounts:
        fix = f"set account in {PATH} to one of {', '.join(accounts) or 'none'}, or ask the admin"
        yield Check("account", f"{account} is not yours", fix)
    else:
        yield Check("account", account or f"the cluster's choice among {', '.join(accounts)}")
    if qos is not None and qos not in known_qos:
        fix = f"set qos in {PATH} to one of {', '.join(known_qos) or 'none'}, or ask the admin"
        yield Check("qos", f"{qos} is not yours", fix)


# ---- what a job finds


def _tried(root: Path, job: JobSettings) -> Iterator[Check]:
    name = f"{job_prefix(root)}doctor-{secrets.token_hex(4)}"
    folder = root / "work" / "jobs" / name
    folder.mkdir(parents=True)
    token = secrets.token_hex(16)
    (folder / TOKEN).write_text(token)
    job = replace(job, minutes=min(job.minutes, _PROBE_MINUTES))
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
    shutil.rmtree(folder)


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
                raise DinoError(
                    f"it ended ({past_state(job_id)}) after {len(paths)} of {tasks} processes had "
                    f"reported: {' / '.join(lines[-3:]) or 'without a log'} ({log or folder})"
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


def _minutes(limit: str) -> float:
    """SLURM's time limit, such as 1-00:00:00, 4:00:00, 30:00 or infinite, in minutes."""
    if not re.fullmatch(r"(?:\d+-)?[\d:]+", limit):
        return float("inf")
    days, _, clock = limit.rpartition("-")
    parts = [int(part) for part in clock.split(":")]
    hours, minutes, seconds = [0] * (3 - len(parts)) + parts
    return int(days or 0) * 1440 + hours * 60 + minutes + seconds / 60


def _leading(text: str) -> int:
    """The number that a text such as 32+ begins with."""
    match = re.match(r"\d+", text)
    return int(match[0]) if match else 0
