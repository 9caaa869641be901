"""The command of a stage: checked first, then computed here or by the launcher."""

import argparse
import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from dino.core.errors import DinoError
from dino.core.pipeline import Target
from dino.core.stages import PER_DATASET

if TYPE_CHECKING:
    from dino.core.configuration.parameters import Parameters, Run
    from dino.core.paths import Project
    from dino.orchestration.kept import Kept


def run_stage(options: argparse.Namespace, arguments: list[str]) -> int:
    """The exit code of a stage, computed where the launcher says.

    The outputs that it had stay until new ones are whole. Raises `DinoError`.
    """
    target = target_of(options)
    kept = _kept(target)
    code = 1
    try:
        code = _launch(target, arguments, kept)
    finally:
        if code and kept is not None:
            _put_back(kept)
    return code


def target_of(options: argparse.Namespace) -> Target:
    """The stage, run and data set that were asked for; by default the data set trained on."""
    stage, dataset = options.command, getattr(options, "dataset", None)
    if dataset is None and stage in PER_DATASET:
        dataset = _parameters().trained_on
    return Target(stage, getattr(options, "run", None), dataset)


def _launch(target: Target, arguments: list[str], kept: "Kept | None") -> int:
    launcher = os.environ.get("DINO_LAUNCHER", "local")
    if launcher not in ("local", "slurm"):
        raise DinoError(f"DINO_LAUNCHER: expected local or slurm, got {launcher}")
    _ensure_possible(target)
    if launcher == "slurm" and not _nothing_to_do(_parameters(), target.stage):
        from dino.launch.settings import read_settings

        settings = read_settings(Path.cwd())
        if target.stage in settings.submit:
            from dino.core.locking import one_of_several
            from dino.core.pipeline import read_step
            from dino.launch.slurm import run_on_slurm

            step = read_step(Path.cwd(), target)
            with one_of_several(Path.cwd(), step.lock), _keeping(kept, one_of_several=True):
                run_on_slurm(Path.cwd(), step, settings, entry="dino.cli:run_in_job")
            return 0
    # with a rank it was launched already: by torchrun, or by the lines below
    if target.stage == "pretrain" and "RANK" not in os.environ:
        from dino.launch.jobs import ensure_no_job
        from dino.launch.local import processes_wanted, run_processes

        ensure_no_job(Path.cwd(), target.name)
        processes = processes_wanted()
        if processes > 1:
            return run_processes(processes, arguments)
    from dino.core.locking import only_one

    # the processes of one training are one user of its files: the first of them asks for all
    is_main = os.environ.get("RANK", "0") == "0"
    with only_one(Path.cwd(), target.name) if is_main else nullcontext(), _keeping(kept):
        compute(target)
    return 0


def _kept(target: Target) -> "Kept | None":
    """The kept outputs of the stage, after killed computations have got theirs back.

    None where no dvc.yaml says which files these are, and for all but a training's first process.
    """
    from dino.core.pipeline import read_pipeline
    from dino.orchestration.kept import Kept, recover

    if os.environ.get("RANK", "0") != "0" or not (Path.cwd() / "dvc.yaml").is_file():
        return None
    try:
        steps = read_pipeline(Path.cwd())
    except DinoError:
        # the stage will meet it too, and say what is wrong
        return None
    step = next((s for s in steps if s.target == target), None)
    if step is None:
        return None
    recover(Path.cwd(), [other for other in steps if other != step])
    return Kept(Path.cwd(), step)


@contextmanager
def _keeping(kept: "Kept | None", *, one_of_several: bool = False) -> Iterator[None]:
    if kept is not None:
        kept.begin(one_of_several=one_of_several)
    yield
    if kept is not None:
        kept.succeed()


def _put_back(kept: "Kept") -> None:
    """Undo what a stage that failed has done to its outputs, unless another computes it."""
    try:
        kept.put_back_if_idle()
    except DinoError as error:
        print(error, file=sys.stderr)


def _ensure_possible(target: Target) -> None:
    """Refuse at once what the stage, or one that builds on it, would refuse later."""
    if "RANK" in os.environ:
        return  # one of the processes of a training, whose launcher has asked
    from dino.core.paths import Project
    from dino.orchestration.checks import ensure_possible, steps_from

    parameters = _parameters()
    if target.run is not None:
        parameters.run_named(target.run)
    if target.dataset is not None:
        parameters.dataset_named(target.dataset)
    steps = steps_from(parameters, target)
    ensure_possible(Project(root=Path.cwd()), parameters, steps)


def compute(target: Target) -> None:
    """Execute the stage in this process, or say why there is nothing to do."""
    from dino.core.paths import Project
    from dino.core.progress import set_position

    project, parameters = Project(root=Path.cwd()), _parameters()
    run = parameters.run_named(target.run) if target.run else None
    set_position([each.name for each in parameters.all_runs()], run.name if run else None)
    execute(project, parameters, target.stage, run or target.dataset)


def execute(
    project: "Project", parameters: "Parameters", stage: str, of: "Run | str | None" = None
) -> None:
    """Execute one stage, or write why there is nothing to do; only this function decides it.

    `of` is the run or the data set that it is for; None for a stage that is executed once.
    """
    from dino.stages import switched_off

    reason = switched_off.nothing_to_do(project, parameters, stage)
    if reason is not None and of is not None and not isinstance(of, str):
        switched_off.execute(project, parameters, of, stage, reason)
        return
    module = importlib.import_module(f"dino.stages.{stage}")
    module.execute(project, parameters, *([] if of is None else [of]))


def _parameters() -> "Parameters":
    from dino.core.configuration.parameters import read_parameters

    return read_parameters(Path.cwd() / "params.yaml")


def _nothing_to_do(parameters: "Parameters", stage: str) -> str | None:
    from dino.core.paths import Project
    from dino.stages.switched_off import nothing_to_do

    return nothing_to_do(Project(root=Path.cwd()), parameters, stage)
