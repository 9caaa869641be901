"""preset: make params.yaml that of a known experiment."""

import difflib
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from dino.core.artifacts import write_text
from dino.core.configuration.parameters import Parameters, read_parameters
from dino.core.configuration.presets import FOLDER, Preset, preset_names, read_preset
from dino.core.configuration.section import parse
from dino.core.errors import ConfigurationError
from dino.core.provenance import plain
from dino.core.yaml_file import parse_yaml

PARAMETERS = "params.yaml"


def execute(root: Path, name: str, *, force: bool) -> None:
    """Make `root`/params.yaml the preset `name`, and print what changed and what to do next.

    Raises `ConfigurationError` for an unknown name and, unless `force`, where the present file
    would be lost: it is in no commit, and no preset either.
    """
    preset = read_preset(root, name)
    path = root / PARAMETERS
    before = path.read_text(encoding="utf-8") if path.is_file() else None
    if before is not None and not force and _would_be_lost(root, before):
        raise ConfigurationError(
            f"{PARAMETERS}: has changes that are in no commit and would be lost; commit them, or "
            "give --force"
        )
    difference = _difference(root, preset)
    write_text(path, preset.text)
    if before == preset.text:
        print(f"{PARAMETERS} is {name} already")
    else:
        print(difference)
        print(f"{PARAMETERS} is now {name}: {preset.title}")
    print(f"cost: {preset.fields['Cost']}")
    print(f"next: {preset.fields['Run'].replace(chr(10), chr(10) + '      ')}")


def show(root: Path, name: str) -> None:
    """Print the preset `name`."""
    print(read_preset(root, name).text, end="")


def show_all(root: Path) -> None:
    """Print a table of all presets: name, what it is, what it costs.

    Raises `ConfigurationError` after it, for the first that cannot be read.
    """
    presets, problems = [], []
    for name in preset_names(root):
        try:
            presets.append(read_preset(root, name))
        except ConfigurationError as error:
            problems.append(error)
    rows = [
        (preset.name, preset.fields["Cost"].splitlines()[0], preset.title) for preset in presets
    ]
    rows = [("preset", "cost", "what"), *rows]
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    for row in rows:
        print(f"{row[0]:{widths[0]}}  {row[1]:{widths[1]}}  {row[2]}")
    if problems:
        raise problems[0]


def _would_be_lost(root: Path, text: str) -> bool:
    """Whether neither a commit nor a preset holds `text`, the content of params.yaml."""
    if text in _texts(root):
        return False
    command = ["git", "status", "--porcelain", "--ignored", "--", PARAMETERS]
    try:
        done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    except FileNotFoundError:
        return True
    return done.returncode != 0 or done.stdout != ""


def _texts(root: Path) -> Iterator[str]:
    """What each preset that can be read makes of params.yaml."""
    for name in preset_names(root):
        # another one may be damaged
        with suppress(ConfigurationError):
            yield read_preset(root, name).text


def _difference(root: Path, preset: Preset) -> str:
    """How the values of params.yaml, defaults included, differ from those of the preset."""
    values = parse_yaml(preset.text, f"{FOLDER}/{preset.name}.yaml")
    after = _lines(plain(parse(Parameters, values, where="")))
    try:
        before = _lines(plain(read_parameters(root / PARAMETERS)))
    except ConfigurationError as error:
        return f"no difference can be shown: {error}"
    lines = difflib.unified_diff(
        before, after, PARAMETERS, f"{FOLDER}/{preset.name}.yaml", n=0, lineterm=""
    )
    # numbers of lines mean nothing where each line names its value
    changes = [line for line in lines if not line.startswith("@@")]
    return "\n".join(changes) or "all values are equal; comments differ"


def _lines(values: dict[str, Any], above: str = "") -> list[str]:
    """One line a value, such as pretrain.crops.local_crops: 8."""
    lines = []
    for key, value in values.items():
        if isinstance(value, dict) and value:
            lines += _lines(value, f"{above}{key}.")
        else:
            lines.append(f"{above}{key}: {value}")
    return lines
