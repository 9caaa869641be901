"""The command of a stage: refused early, computed where the launcher says, without a loss."""

import argparse
import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from dino.core.errors import DinoError
from dino.core.stages import PER_RUN

if TYPE_CHECKING:
    from dino.core.configuration.parameters import Parameters, Run
    from dino.core.paths import Project
    from dino.orchestration.kept import Kept


def run_stage(options: argparse.Namespace, arguments: list[str]) -> int:
    """The exit code of a stage, computed where the launcher says.

    The outputs that it had stay until new ones are whole. Raises `DinoError`.
    """
    kept = _kept(options)
    code = 1
    try:
        code = _launch(options, arguments, kept)
    finally:
        if code and kept is not None:
            _put_back(kept)
    return code


def _launch(options: argparse.Namespace, arguments: list[str], kept: "Kept | None") -> int:
    launcher = os.environ.get("DINO_LAUNCHER", "local")
    if launcher not in ("local", "slurm"):
        raise DinoError(f"DINO_LAUNCHER: expected local or slurm, got {launcher}")
    _ensure_possible(options)
    if launcher == "slurm" and not _nothing_to_do(_parameters(), options.command):
        from dino.launch.settings import read_settings

        settings = read_settings(Path.cwd())
        if options.command in settings.submit:
            from dino.core.locking import one_of_several
            from dino.core.pipeline import read_step
            from dino.launch.slurm import run_on_slurm

            step = read_step(Path.cwd(), options.command, getattr(options, "run", None))
            with one_of_several(Path.cwd(), step.lock), _keeping(kept, one_of_several=True):
                run_on_slurm(Path.cwd(), step, settings, entry="dino.cli:run_in_job")
            return 0
    # with a rank it was launched already: by torchrun, or by the lines below
    if options.command == "pretrain" and "RANK" not in os.environ:
        from dino.launch.jobs import ensure_no_job
        from dino.launch.local import processes_wanted, run_processes

        ensure_no_job(Path.cwd(), f"pretrain-{options.run}")
        processes = processes_wanted()
        if processes > 1:
            return run_processes(processes, arguments)
    from dino.core.locking import only_one

    run = getattr(options, "run", None)
    name = options.command if run is None else f"{options.command}-{run}"
    # the processes of one training are one user of its files: the first of them asks for all
    is_main = os.environ.get("RANK", "0") == "0"
    with only_one(Path.cwd(), name) if is_main else nullcontext(), _keeping(kept):
        compute(options)
    return 0


def _kept(options: argparse.Namespace) -> "Kept | None":
    """What the stage has to show, after others that were killed have got theirs back.

    None where no dvc.yaml says which files these are, and for all but a training's first process.
    """
    from dino.core.pipeline import read_pipeline
    from dino.orchestration.kept import Kept, recover

    if os.environ.get("RANK", "0") != "0" or not (Path.cwd() / "dvc.yaml").is_file():
        return None
    run = getattr(options, "run", None)
    try:
        steps = read_pipeline(Path.cwd())
    except DinoError:
        # the stage will meet it too, and say what is wrong
        return None
    step = next((s for s in steps if (s.stage, s.run) == (options.command, run)), None)
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


def _ensure_possible(options: argparse.Namespace) -> None:
    """Refuse at once what the stage, or one that builds on it, would refuse later."""
    if "RANK" in os.environ:
        return  # one of the processes of a training, whose launcher has asked
    from dino.core.paths import Project
    from dino.orchestration.checks import ensure_possible, steps_from

    parameters, run = _parameters(), getattr(options, "run", None)
    if run is not None:
        parameters.run_named(run)
    steps = steps_from(parameters, options.command, run)
    ensure_possible(Project(root=Path.cwd()), parameters, steps)


def compute(options: argparse.Namespace) -> None:
    """Execute the stage in this process, or say why there is nothing to do."""
    from dino.core.paths import Project
    from dino.core.progress import set_position

    project, parameters = Project(root=Path.cwd()), _parameters()
    run = parameters.run_named(options.run) if options.command in PER_RUN else None
    set_position([each.name for each in parameters.all_runs()], run.name if run else None)
    execute(project, parameters, options.command, run)


def execute(project: "Project", parameters: "Parameters", stage: str, run: "Run | None") -> None:
    """Execute one stage, or write why there is nothing to do: this is decided here alone."""
    from dino.stages import switched_off

    reason = switched_off.nothing_to_do(project, parameters, stage)
    if run is not None and reason is not None:
        switched_off.execute(project, parameters, run, stage, reason)
        return
    module = importlib.import_module(f"dino.stages.{stage}")
    if run is None:
        module.execute(project, parameters)
    else:
        module.execute(project, parameters, run)


def _parameters() -> "Parameters":
    from dino.core.configuration.parameters import read_parameters

    return read_parameters(Path.cwd() / "params.yaml")


def _nothing_to_do(parameters: "Parameters", stage: str) -> str | None:
    from dino.core.paths import Project
    from dino.stages.switched_off import nothing_to_do

    return nothing_to_do(Project(root=Path.cwd()), parameters, stage)
