"""The comparison of slurm/settings.yaml with what the cluster says it has."""

import getpass
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from dino.core.errors import DinoError
from dino.launch.cluster import ask
from dino.launch.settings import PATH, JobSettings


@dataclass(frozen=True)
class Check:
    """One line of the report."""

    what: str
    text: str
    fix: str | None = None
    """What to do about it; None where all is well."""


def settings_checks(jobs: dict[str, JobSettings]) -> Iterator[Check]:
    """A line for SLURM, the account, and each of the stages that become jobs."""
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
