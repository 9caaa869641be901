"""The command `dino`: parse, load, call, save. Every subcommand is a stage of the workflow."""

import argparse
import importlib
import os
import select
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from dino.command_line import STAGES, parser
from dino.core.errors import ConfigurationError, DinoError

if TYPE_CHECKING:
    from dino.core.configuration.parameters import Parameters
    from dino.core.kept import Kept


def main() -> None:
    """Entry point of the console script."""
    _use_the_checkout()
    set_environment()
    sys.exit(_quiet_when_unread(sys.argv[1:]))


def _quiet_when_unread(arguments: list[str]) -> int:
    """The exit code of `dino`; without a word where nobody reads on, as behind `| head`."""
    try:
        try:
            return run(arguments)
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        unread = [stream for stream in (sys.stdout, sys.stderr) if _is_unread(stream.fileno())]
        if not unread:
            raise
        for stream in unread:
            # Python writes what is left when it ends
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        return 128 + signal.SIGPIPE


def _is_unread(descriptor: int) -> bool:
    """Whether it is a pipe whose reader has gone."""
    poll = select.poll()
    poll.register(descriptor, 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def set_environment() -> None:
    """Set what torch asks for when it is imported, unless the user has set it."""
    # threads that wait for each other by spinning take the cores from the processes that load
    # data, which costs up to three quarters of the speed
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # memory in pages of 2 MB: a training step asks the system for hundreds of MB, page by page,
    # which costs a tenth of the speed of a ViT-S
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")


def run(arguments: list[str]) -> int:
    """The exit code of `dino` with `arguments`; errors that the user can act on are one line."""
    options = parser().parse_args(arguments)
    try:
        if options.command == "features" and (options.run is None or options.images):
            return _features_of_images(options)
        if options.command in STAGES:
            return _run_stage(options, arguments)
        return _COMMANDS[options.command](options)
    except DinoError as error:
        print(f"dino {options.command}: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(f"dino {options.command}: interrupted", file=sys.stderr)
        return 130


def run_in_job(arguments: list[str]) -> None:
    """Run a stage in a process that SLURM has started; raises what goes wrong."""
    set_environment()
    # no lock: there is one job of a name, and a node that hangs might hold the lock for ever
    _compute(parser().parse_args(arguments))


def _run_stage(options: argparse.Namespace, arguments: list[str]) -> int:
    """Have a stage computed where the launcher says; what it had stays until new is whole."""
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
        _compute(options)
    return 0


def _kept(options: argparse.Namespace) -> "Kept | None":
    """What the stage has to show, after others that were killed have got theirs back.

    None where no dvc.yaml says which files these are, and for all but a training's first process.
    """
    from dino.core.kept import Kept, recover
    from dino.core.pipeline import read_pipeline

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


def _compute(options: argparse.Namespace) -> None:
    from dino.core.paths import Project
    from dino.core.progress import set_position

    project, parameters = Project(root=Path.cwd()), _parameters()
    run = parameters.run_named(options.run) if STAGES[options.command][1] else None
    set_position([each.name for each in parameters.all_runs()], run.name if run else None)
    reason = None if run is None else _nothing_to_do(parameters, options.command)
    if run is not None and reason is not None:
        from dino.stages import switched_off

        switched_off.execute(project, parameters, run, options.command, reason)
        return
    stage = importlib.import_module(f"dino.stages.{options.command}")
    if run is None:
        stage.execute(project, parameters)
    else:
        stage.execute(project, parameters, run)


def _parameters() -> "Parameters":
    from dino.core.configuration.parameters import read_parameters

    return read_parameters(Path.cwd() / "params.yaml")


def _nothing_to_do(parameters: "Parameters", stage: str) -> str | None:
    from dino.core.paths import Project
    from dino.stages.switched_off import nothing_to_do

    return nothing_to_do(Project(root=Path.cwd()), parameters, stage)


def _doctor(options: argparse.Namespace) -> int:
    if options.slurm:
        from dino.launch.cluster_check import check_cluster

        return check_cluster(Path.cwd())
    from dino.core.engines import Bridge
    from dino.doctor import doctor

    # what is wrong with params.yaml, it says in its place
    with suppress(ConfigurationError):
        Bridge(Path.cwd()).recover()
    return doctor(Path.cwd(), trial=not options.no_trial)


def _jobs(options: argparse.Namespace) -> int:
    from dino.launch.jobs import jobs_table

    print(jobs_table(Path.cwd()))
    return 0


def _clean(options: argparse.Namespace) -> int:
    from dino.commands.clean import execute

    execute(Path.cwd(), remove=options.yes)
    return 0


def _features_of_images(options: argparse.Namespace) -> int:
    if options.run is not None or not options.images or options.output is None:
        raise DinoError("expected either --run NAME, or images and -o FEATURES.parquet")
    from dino.stages.image_features import execute

    return execute(
        options.images,
        options.output,
        options.teacher,
        batch_size=options.batch_size,
        resize_px=options.resize_px,
        crop_px=options.crop_px,
        normalise=options.normalise,
        strict=options.strict,
    )


def _convert(options: argparse.Namespace) -> int:
    from dino.stages.convert import execute

    execute(options.source, options.output, options.network)
    return 0


def _preset(options: argparse.Namespace) -> int:
    from dino.stages import preset

    if options.list:
        preset.show_all(Path.cwd())
    elif options.name is None:
        raise DinoError("expected the NAME of a preset, or --list")
    elif options.show:
        preset.show(Path.cwd(), options.name)
    else:
        preset.execute(Path.cwd(), options.name, force=options.force)
    return 0


def _record(options: argparse.Namespace) -> int:
    from dino.stages.record import execute

    execute(Path.cwd(), options.name, options.snakemake)
    return 0


def _why(options: argparse.Namespace) -> int:
    from dino.core.paths import Project
    from dino.stages.why import execute

    # paths are printed as they are typed, below the current folder
    return execute(Project(root=Path()), options.result)


_COMMANDS = {
    "doctor": _doctor,
    "jobs": _jobs,
    "clean": _clean,
    "convert": _convert,
    "preset": _preset,
    "record": _record,
    "why": _why,
}


def _use_the_checkout() -> None:
    """Start again with the code below the current folder, where that is another checkout.

    `dvc exp run --temp` and git worktrees run in copies of the project: the code that runs must
    be the code whose checksum is recorded, not that of the checkout that was installed.
    """
    source = Path.cwd() / "src"
    if not (source / "dino" / "cli.py").is_file() or source.samefile(Path(__file__).parents[1]):
        return
    if os.environ.get("PYTHONPATH", "").split(os.pathsep)[0] == str(source):
        return
    path = os.pathsep.join(filter(None, [str(source), os.environ.get("PYTHONPATH")]))
    os.execve(
        sys.executable,
        [sys.executable, "-m", "dino.cli", *sys.argv[1:]],
        {**os.environ, "PYTHONPATH": path},
    )


if __name__ == "__main__":
    main()
