"""The account of where a result came from, as text."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from dino.core.paths import Project
from dino.core.stages import SHARED
from dino.reporting.recorded_parameters import MISSING, parameters_of
from dino.reporting.why.checks import changed_parameters, findings
from dino.reporting.why.evidence import Evidence, Record, chain
from dino.reporting.why.origin import Origin
from dino.reporting.why.question import find

NOTHING = "-"
Step = tuple[str, str | None]
"""A stage and its run; None for one that all runs share."""


def explanation(project: Project, asked: str) -> tuple[str, bool]:
    """The account of `asked`, and whether everything is still what it was made from.

    Raises `DinoError` where `asked` names nothing.
    """
    evidence, origin = find(project, asked)
    steps = _steps(evidence, origin)
    checks, differs = _checks(evidence, steps)
    problems = [*origin.problems, *_ran_again(evidence, steps)]
    lines = [
        origin.name if origin.value is None else f"{origin.name} = {origin.value}",
        *(f"  {place}" for place in origin.places),
        *(f"  DIFFERS: {problem}" for problem in problems),
    ]
    if steps:
        lines += [*checks, "", *_executions(steps), "", *_circumstances(steps)]
        lines += ["", *_parameters(evidence, origin, steps)]
    return "\n".join(lines), not (problems or differs)


def _steps(evidence: Evidence, origin: Origin) -> dict[Step, Record]:
    """Everything that was executed for it, in the order of the workflow, run by run."""
    stages: dict[str | None, set[str]] = defaultdict(set)
    for source in origin.sources:
        stages[source.run] |= {*chain(source.stage)}
    steps: dict[Step, Record] = {}
    for run, wanted in stages.items():
        for stage in chain("report"):
            if stage in wanted:
                owner = None if stage in SHARED else run
                steps.setdefault((stage, owner), evidence.record(stage, owner))
    return steps


def _of_run(steps: Mapping[Step, Record], run: str | None) -> dict[str, Record]:
    """The chain of one run, from the stages that all share on."""
    return {stage: record for (stage, owner), record in steps.items() if owner in (None, run)}


def _runs(steps: Mapping[Step, Record]) -> list[str | None]:
    runs: list[str | None] = [run for run in dict.fromkeys(run for _, run in steps) if run]
    return runs or [None]


def _checks(evidence: Evidence, steps: Mapping[Step, Record]) -> tuple[list[str], bool]:
    lines, differs = [], False
    said: set[str] = set()
    for run in _runs(steps):
        lines += ["", run or "the project"]
        for found in findings(evidence, run, _of_run(steps, run)):
            lines.append(f"  {found.name:<12} {found.expected}")
            if found.text not in said:
                lines.append(f"  {'':<12} {found.text}")
            said |= {found.text}
            differs |= found.differs
    return lines, differs


def _ran_again(evidence: Evidence, steps: Iterable[Step]) -> list[str]:
    return [
        f"{stage}{f' of {run}' if run else ''} ran again after the report; run `dino report`"
        for stage, run in steps
        if evidence.ran_again(stage, run)
    ]


def _executions(steps: Mapping[Step, Record]) -> list[str]:
    """A line for each command: how long it took, its seed, its precision and when it began."""
    rows: list[tuple[str, ...]] = [("command", "seconds", "seed", "precision", "started")]
    for record in steps.values():
        values = (record.get(key) for key in ("seed", "precision"))
        rows.append(
            (
                str(record.get("command")),
                f"{record.get('wall_seconds', 0):.1f}",
                *(NOTHING if value is None else str(value) for value in values),
                str(record.get("started_at")),
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if i == 1 else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _circumstances(steps: Mapping[Step, Record]) -> list[str]:
    """Commit, machine and packages: once, or by stage where they were not the same."""
    told = {
        "commit": _commit,
        "machine": _machine,
        "device": lambda record: record.get("device"),
        "packages": _packages,
    }
    lines = []
    for name, tell in told.items():
        by_text: dict[str, list[Step]] = defaultdict(list)
        for step, record in steps.items():
            text = tell(record)
            if text:
                by_text[text].append(step)
        for text, of_steps in by_text.items():
            whose = f" ({_names(of_steps, steps)})" if len(by_text) > 1 else ""
            lines.append(f"{name:<10} {text}{whose}")
    return lines


def _names(some: list[Step], steps: Iterable[Step]) -> str:
    """Stages, and the runs only of those that not every run has in common."""
    everyone: dict[str, set[Step]] = defaultdict(set)
    for step in steps:
        everyone[step[0]].add(step)
    names = []
    for stage, run in some:
        shared = everyone[stage] <= set(some)
        names.append(stage if shared or run is None else f"{stage} of {run}")
    return ", ".join(dict.fromkeys(names))


def _commit(record: Record) -> str:
    git = record.get("git", {})
    if git.get("commit") is None:
        return "unknown: outside a git repository"
    dirty = git.get("dirty")
    return f"{git['commit']}, {'with changes that were not committed' if dirty else 'clean'}"


def _machine(record: Record) -> str:
    machine = record.get("machine", {})
    text = f"{machine.get('processor')}, {machine.get('cores')} cores, {machine.get('system')}"
    job = record.get("slurm_job")
    return f"{text}, host {machine.get('host')}" + (f", SLURM job {job}" if job else "")


def _packages(record: Record) -> str:
    packages = {"python": record.get("python"), **record.get("packages", {})}
    return ", ".join(f"{name} {version}" for name, version in packages.items())


def _parameters(evidence: Evidence, origin: Origin, steps: Mapping[Step, Record]) -> list[str]:
    """What went into it; a value that not all runs share with the runs that have it."""
    by_name: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    changed: dict[str, None] = {}
    runs = _runs(steps)
    for run in runs:
        recorded = parameters_of(run, _relevant(origin, _of_run(steps, run)))
        for name, value in recorded.items():
            by_name[name][_text(value)].append(run or "")
        differences = changed_parameters(evidence, run, recorded)
        if isinstance(differences, str):
            changed[differences] = None
        else:
            changed |= {
                f"{k} {_text(old)} -> {_text(new)}": None for k, (old, new) in differences.items()
            }
    file = evidence.parameters
    still = f"parameters, as {file} still has them"
    if not evidence.of_this_project:
        still = f"parameters; {file} was kept with the results"
    lines = ["parameters" if changed else still]
    if changed:
        lines.insert(0, f"{file} has changed since: {'; '.join(changed)}")
    for name, values in by_name.items():
        for value, of_runs in values.items():
            whose = f"  ({', '.join(of_runs)})" if len(of_runs) < len(runs) else ""
            lines.append(f"  {name}: {value}{whose}")
    return lines


def _text(value: Any) -> str:
    return MISSING if value is MISSING else json.dumps(value, ensure_ascii=False)


def _relevant(origin: Origin, chain: Mapping[str, Record]) -> dict[str, Any]:
    """`chain` without the sections that only baselines of other kinds used."""
    sections = {source.evaluation or source.stage for source in origin.sources} - {"baselines"}
    if "baselines" not in chain or not sections:
        return dict(chain)
    parameters = chain["baselines"].get("parameters", {})
    kept = {name: value for name, value in parameters.items() if name in sections}
    return {**chain, "baselines": {**chain["baselines"], "parameters": kept}}
