"""The command line of `dino`: its subcommands and their options."""

import argparse
from collections.abc import Callable
from pathlib import Path

from dino.core.stages import PER_DATASET, STAGES

Add = Callable[[str, str], argparse.ArgumentParser]


def parser() -> argparse.ArgumentParser:
    """The parser of the command line: a subcommand for each stage, then the others."""
    whole = argparse.ArgumentParser(
        prog="dino",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="dino COMMAND ...",
    )
    commands = whole.add_subparsers(prog="dino", dest="command", required=True, metavar="COMMAND")
    # argparse lists subcommands in one group: those without a help text are listed by us
    commands.help = "one of those below; `dino COMMAND --help` says more"
    texts: dict[str, str] = {}

    def add(name: str, text: str) -> argparse.ArgumentParser:
        texts[name] = text
        return commands.add_parser(name, description=text[0].upper() + text[1:] + ".")

    for name, stage in STAGES.items():
        command = add(name, stage.text)
        if not stage.shared:
            command.add_argument(
                "--run",
                required=name != "features",
                metavar="NAME",
                help="a run of params.yaml: ARCHITECTURE-VARIANT-sSEED",
            )
        if name in PER_DATASET:
            command.add_argument(
                "--dataset",
                metavar="NAME",
                help="a data set of params.yaml; default: the one trained on",
            )
        if name == "features":
            _add_image_options(command)
    _add_machine(add)
    _add_experiments(add)
    _add_convert(add)
    whole.description = _DESCRIPTION
    whole.epilog = "\n\n".join(
        f"{title}:\n" + "\n".join(f"  {name:<{_WIDTH}}{texts[name]}" for name in names)
        for title, names in {
            "stages of the workflow, in their order": list(STAGES),
            "other commands": [name for name in texts if name not in STAGES],
        }.items()
    )
    return whole


_DESCRIPTION = """\
Self-supervised vision transformers: train, score and plot. Run it from the project's root; all
settings are in params.yaml. Snakemake and DVC call the stages in the right order."""
_WIDTH = 2 + max(map(len, STAGES))


def _add_machine(add: Add) -> None:
    command = add("doctor", "show what this machine offers and what is missing for each stage")
    command.add_argument(
        "--slurm",
        action="store_true",
        help="check slurm/settings.yaml against the cluster instead, with a small job",
    )
    command.add_argument(
        "--no-trial",
        action="store_true",
        help="leave out the training steps of some seconds that say how long a training takes",
    )
    add("jobs", "show what the SLURM jobs of this checkout are doing")
    command = add("clean", "show what nothing in params.yaml needs any more, and remove it")
    command.add_argument("--yes", action="store_true", help="remove it; default: show it alone")


def _add_experiments(add: Add) -> None:
    """From a preset to a result, and back."""
    command = add("preset", "make params.yaml that of a known experiment")
    command.add_argument(
        "name", nargs="?", metavar="NAME", help="a file of presets/, without .yaml"
    )
    command.add_argument("--list", action="store_true", help="show the presets and their cost")
    command.add_argument("--show", action="store_true", help="print the preset, and change nothing")
    command.add_argument(
        "--force", action="store_true", help="replace a params.yaml that is in no commit too"
    )
    command = add(
        "record", "run a preset's workflow apart from results/, and keep what came out in records/"
    )
    command.add_argument("name", metavar="NAME", help="a file of presets/, without .yaml")
    command.add_argument(
        "snakemake",
        nargs=argparse.REMAINDER,
        metavar="...",
        help="options of snakemake, such as --profile slurm",
    )
    command = add(
        "why", "say where a number, a table, a figure or a file came from, and if that still holds"
    )
    command.add_argument(
        "result",
        metavar="RESULT",
        help="RUN:SCORE, a key of summary.json, TABLE:ROW:COLUMN, a file, a run, or one of these "
        "behind records/NAME:",
    )


def _add_convert(add: Add) -> None:
    command = add("convert", "write a checkpoint or an exported teacher in another format")
    command.add_argument(
        "source", type=Path, help="such as artifacts/RUN/checkpoint.pth or artifacts/RUN/teacher"
    )
    command.add_argument(
        "output",
        type=Path,
        help="NAME.pth: the reference's format; NAME.onnx: ONNX; NAME: a folder that timm opens",
    )
    command.add_argument(
        "--network",
        choices=("teacher", "student"),
        default="teacher",
        help="which of a checkpoint's two networks becomes ONNX or a folder; default: teacher",
    )


def _add_image_options(command: argparse.ArgumentParser) -> None:
    """Add the options with which `dino features` takes the user's own images in place of a run."""
    group = command.add_argument_group(
        "your own images", "in place of --run: the features of any images, by an exported teacher"
    )
    group.add_argument("images", nargs="*", type=Path, help="files, and folders of files")
    group.add_argument("-o", "--output", type=Path, help="the .parquet, .csv or .npy file to write")
    group.add_argument(
        "--teacher", type=Path, help="default: artifacts/RUN/teacher where there is but one"
    )
    group.add_argument("--batch-size", type=_positive, metavar="N", help="default: 64")
    group.add_argument(
        "--resize-px", type=_positive, metavar="N", help="default: as the teacher's config.json"
    )
    group.add_argument("--crop-px", type=_positive, metavar="N", help="default: likewise")
    group.add_argument("--normalise", action="store_true", help="divide each feature by its length")
    group.add_argument(
        "--strict", action="store_true", help="exit code 1 when an image cannot be read"
    )


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number
