"""The presets: known experiments, each a file of what differs from the defaults and a header."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dino.core.configuration.whole_file import whole_text
from dino.core.errors import ConfigurationError

FOLDER = "presets"
FIELDS = ("Source", "Run", "Cost", "Disk", "Expected")
"""The fields of every header, each in lines such as `# Cost:     8 GPUs, 1.75 days`."""

_FIELD = re.compile(r"# ([A-Z]\w+): +(.+)")
_CONTINUED = re.compile(r"#  +(\S.*)")


@dataclass(frozen=True, kw_only=True)
class Preset:
    """One file of the folder."""

    name: str
    text: str
    """The whole params.yaml: every section and value, with the comments of the preset's file."""
    title: str
    """The header's first line."""
    fields: Mapping[str, str]
    """FIELDS, and others such as Unverified; continued lines are joined by newlines."""


def preset_names(root: Path) -> tuple[str, ...]:
    """The names of the presets of the project at `root`, in alphabetical order.

    Raises `ConfigurationError` where there is no folder of them.
    """
    if not (root / FOLDER).is_dir():
        raise ConfigurationError(f"{FOLDER}/: not found; run from the project's root")
    return tuple(sorted(path.stem for path in (root / FOLDER).glob("*.yaml")))


def read_preset(root: Path, name: str) -> Preset:
    """The preset that is called `name`.

    Raises `ConfigurationError` for an unknown name, for a header that lacks a field, and for
    values that are not valid.
    """
    names = preset_names(root)
    if name not in names:
        raise ConfigurationError(f"expected a preset among {', '.join(names)}, got {name}")
    path = root / FOLDER / f"{name}.yaml"
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: cannot be read as text ({error})") from None
    whole = whole_text(text, str(path))
    title, fields = _header(text)
    missing = [field for field in FIELDS if field not in fields]
    if missing:
        raise ConfigurationError(
            f"{path}: expected a line `# {missing[0]}: ...` in the comment at its head"
        )
    return Preset(name=name, text=whole, title=title, fields=fields)


def _header(text: str) -> tuple[str, dict[str, str]]:
    """The title and the fields of the comment that a file begins with."""
    lines = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        lines.append(line)
    title = lines[0].removeprefix("#").strip() if lines else ""
    fields: dict[str, str] = {}
    last: str | None = None
    for line in lines[1:]:
        if match := _FIELD.fullmatch(line):
            last = match[1]
            fields[last] = match[2]
        elif last is not None and (match := _CONTINUED.fullmatch(line)):
            fields[last] += f"\n{match[1]}"
        else:
            last = None
    return title, fields
