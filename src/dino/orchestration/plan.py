"""What Snakemake is about to run, checked when it plans: before any job, and before it removes
the outputs of jobs that are to run again. `snakemake -n` asks the same.
"""

from argparse import Namespace
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from dino.core.paths import Project
from dino.core.pipeline import Step, read_pipeline

if TYPE_CHECKING:
    from dino.core.configuration.parameters import Parameters
    from dino.orchestration.bridge import Bridge

RUNS_NOTHING = (
    *("lint", "list_rules", "list_target_rules", "dag", "rulegraph", "filegraph", "d3dag"),
    *("unlock", "report", "summary", "detailed_summary", "list_untracked", "archive"),
    *("cleanup_metadata", "cleanup_shadow", "delete_all_output", "delete_temp_output", "touch"),
    *("generate_unit_tests", "print_compilation"),
)
"""The options of snakemake with which it executes no job."""


def ensure_plan(bridge: "Bridge", parameters: "Parameters", arguments: Sequence[str]) -> None:
    """Raise a `DinoError` of one line when `snakemake` with `arguments` cannot end well.

    `bridge` has agreed with DVC on what is out of date. Where nothing is, nothing is looked at.
    """
    stale = bridge.out_of_date()
    if not stale:
        return
    from snakemake.cli import get_argument_parser

    steps = list(_wanted(get_argument_parser().parse_args(arguments), bridge, stale))
    if not steps:
        return
    from dino.orchestration.checks import problems, refuse
    from dino.orchestration.cluster import cluster_problems

    project = Project(root=bridge.root)
    names = [step.target for step in steps]
    refuse(cluster_problems(project, parameters, names))
    refuse(problems(project, parameters, names))


def _wanted(options: Namespace, bridge: "Bridge", stale: Sequence[Step]) -> Iterator[Step]:
    """The steps of `stale` that the typed command asks for."""
    if any(getattr(options, name, None) for name in RUNS_NOTHING):
        return
    targets = {str(target) for target in options.targets}
    steps = read_pipeline(bridge.root)
    asked = [step for step in steps if not targets or _is_named(step, targets)]
    # a target that no step makes, such as `all`, asks for everything
    known = {target for target in targets if any(_is_named(step, {target}) for step in steps)}
    if known != targets:
        asked = list(steps)
    needed = {step.name for step in asked}
    for step in reversed(steps):
        if step.name in needed:
            needed |= {s.name for s in steps if not set(s.outputs).isdisjoint(step.inputs)}
    yield from (step for step in stale if step.name in needed)


def _is_named(step: Step, targets: set[str]) -> bool:
    outputs = {str(PurePosixPath(output)) for output in step.outputs}
    return step.stage in targets or not outputs.isdisjoint(targets)
