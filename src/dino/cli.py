"""The command `dino`: parse the command line, then load and call what it asks for."""

import argparse
import os
import select
import signal
import sys
from contextlib import suppress
from pathlib import Path

from dino.command_line import parser
from dino.core.errors import ConfigurationError, DinoError, InterruptedTraining
from dino.core.stages import STAGES


def main() -> None:
    """Entry point of the console script."""
    _use_the_checkout()
    set_environment()
    sys.exit(_quiet_when_unread(sys.argv[1:]))


def _quiet_when_unread(arguments: list[str]) -> int:
    """The exit code of `dino`; nothing is printed if nobody reads on, as behind `| head`."""
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
    """Whether `stream` is a pipe whose reader has gone."""
    poll = select.poll()
    poll.register(descriptor, 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def run_in_job(arguments: list[str]) -> None:
    """Run a stage in a process that SLURM has started; raises what goes wrong."""
    from dino.stage_command import compute, target_of

    set_environment()
    # no lock: there is one job of a name, and a node that hangs might hold the lock for ever
    compute(target_of(parser().parse_args(arguments)))


def set_environment() -> None:
    """Set the environment that torch reads when it is imported, unless the user has set it."""
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
        if options.command == "features" and (options.run is None or _names_images(options)):
            return _features_of_images(options)
        if options.command in STAGES:
            from dino.stage_command import run_stage

            return run_stage(options, arguments)
        return _COMMANDS[options.command](options)
    except DinoError as error:
        # one interruption ends all processes of a training: the first speaks for them
        if not isinstance(error, InterruptedTraining) or os.environ.get("RANK", "0") == "0":
            print(f"dino {options.command}: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(f"dino {options.command}: interrupted", file=sys.stderr)
        return 130


def _doctor(options: argparse.Namespace) -> int:
    if options.slurm:
        from dino.launch.cluster_check import check_cluster

        return check_cluster(Path.cwd())
    from dino.doctor import doctor
    from dino.orchestration.bridge import Bridge

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


def _names_images(options: argparse.Namespace) -> bool:
    """Whether there is an option of `dino features` that a run does not take."""
    return any(value for name, value in vars(options).items() if name not in {"command", "run"})


def _features_of_images(options: argparse.Namespace) -> int:
    if options.run is not None or not options.images or options.output is None:
        raise DinoError(
            "expected either --run NAME alone, whose settings are features in params.yaml, or "
            "images and -o FEATURES.parquet"
        )
    from dino.commands.image_features import execute

    return execute(
        options.images,
        options.output,
        options.teacher,
        batch_size=options.batch_size or 64,
        resize_px=options.resize_px,
        crop_px=options.crop_px,
        normalise=options.normalise,
        strict=options.strict,
    )


def _convert(options: argparse.Namespace) -> int:
    from dino.commands.convert import execute

    execute(options.source, options.output, options.network)
    return 0


def _preset(options: argparse.Namespace) -> int:
    from dino.commands import preset

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
    from dino.commands.record import execute

    execute(Path.cwd(), options.name, options.snakemake)
    return 0


def _why(options: argparse.Namespace) -> int:
    from dino.commands.why import execute
    from dino.core.paths import Project

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
