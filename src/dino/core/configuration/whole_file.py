"""The text of a whole params.yaml: what a preset changes, with its comments, and all defaults."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import yaml

from dino.core.configuration.parameters import Parameters
from dino.core.configuration.section import parse
from dino.core.errors import ConfigurationError
from dino.core.yaml_file import parse_yaml_nodes

_NAMED = ("runs", "variants", "architectures", "datasets")
"""The sections in which a preset says everything; their default values are not spelled out."""
_COMMENTS = {
    "runs": "every architecture in every variant with every seed",
    "variants": "by name: what differs from the section pretrain below",
}
_ENDING = """#
# Every value that changes a result; those that a preset does not set are the reference's. Other
# presets, for ImageNet, for your own images, for ablations: `dino preset --list`.
"""
_COMMENT_COLUMN = 28


def whole_text(preset: str, where: str) -> str:
    """The text of a params.yaml with every section and value; `preset` is the text of an overlay.

    The lines that the preset has stay as they are, their comments included; the sections and the
    values come in the order of the configuration. Raises `ConfigurationError` for values that are
    not valid, and for a layout that cannot be completed; `where` is the preset's file.
    """
    values, nodes = parse_yaml_nodes(preset, where)
    try:
        parameters = parse(Parameters, values, where="")
        # dvc.yaml names the data set by this value, so that it must not be null
        pretrain = dataclasses.replace(parameters.pretrain, dataset=parameters.trained_on)
        parameters = dataclasses.replace(parameters, pretrain=pretrain)
        return "\n".join(_blocks(parameters, nodes, preset.splitlines()))
    except ConfigurationError as error:
        raise ConfigurationError(f"{where}: {error}") from None


def _blocks(parameters: Parameters, node: yaml.Node | None, lines: list[str]) -> Iterator[str]:
    """The comment at the head, then the text of each section."""
    header = list(_header(lines))
    # a params.yaml that became a preset has the ending already
    yield "\n".join(header).removesuffix(_ENDING.rstrip()).rstrip() + f"\n{_ENDING}"
    given = _entries(node, lines, len(header))
    for field in dataclasses.fields(parameters):
        value = getattr(parameters, field.name)
        yield "\n".join(_lines(field.name, value, given.get(field.name), lines, indent=0)) + "\n"


def _header(lines: list[str]) -> Iterator[str]:
    for line in lines:
        if not line.startswith("#"):
            break
        yield line


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Entry:
    """A key of the preset: where its lines stand, and the comments above it."""

    above: list[str]
    line: int
    value: yaml.Node


def _entries(node: yaml.Node | None, lines: list[str], after: int) -> dict[str, _Entry]:
    """The entries of a mapping, by key; `after` is the first line that belongs to it."""
    entries = {}
    for key, value in node.value if isinstance(node, yaml.MappingNode) else []:
        line = key.start_mark.line
        above = [text for text in lines[after:line] if text.strip()]
        entries[key.value] = _Entry(above=above, line=line, value=value)
        after = max(line, _last_line(value)) + 1
    return entries


def _ensure_indented(node: yaml.Node, indent: int) -> None:
    """Raise `ConfigurationError` unless added lines would stand in the same column."""
    if isinstance(node, yaml.MappingNode) and node.start_mark.column != indent:
        raise ConfigurationError(
            f"line {node.start_mark.line + 1}: expected {indent} spaces, two for each level, got "
            f"{node.start_mark.column}"
        )


def _last_line(node: yaml.Node) -> int:
    """The number of the last line of a value, without what follows a block."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _last_line(last[1] if isinstance(last, tuple) else last)
    return int(node.end_mark.line)


def _lines(
    name: str, value: Any, entry: _Entry | None, lines: list[str], indent: int
) -> Iterator[str]:
    """The lines of one key: the preset's where it sets the value, else those of the default."""
    if entry is not None:
        yield from entry.above
    if not dataclasses.is_dataclass(value) or (indent == 0 and name in _NAMED):
        yield from _own_lines(name, value, entry, lines, indent)
        return
    below: dict[str, _Entry] = {}
    first = f"{' ' * indent}{name}:"
    if entry is not None:
        if isinstance(entry.value, yaml.MappingNode) and entry.value.flow_style:
            if entry.value.value:
                yield from lines[entry.line : _last_line(entry.value) + 1]
                return
            first = lines[entry.line].replace("{}", "  ").rstrip()
        else:
            first = lines[entry.line]
            below = _entries(entry.value, lines, entry.line + 1)
            _ensure_indented(entry.value, indent + 2)
    yield first
    for field in dataclasses.fields(value):
        under = getattr(value, field.name)
        yield from _lines(field.name, under, below.get(field.name), lines, indent + 2)


def _own_lines(
    name: str, value: Any, entry: _Entry | None, lines: list[str], indent: int
) -> Iterator[str]:
    """The preset's lines of a key, or one line with its default."""
    comment = _COMMENTS.get(name) if indent == 0 else None
    if entry is not None:
        first, *others = lines[entry.line : max(entry.line, _last_line(entry.value)) + 1]
    elif indent == 0 and isinstance(value, dict):
        first, others = f"{name}:", [f"  {key}: {_inline(below)}" for key, below in value.items()]
    else:
        first, others = f"{' ' * indent}{name}: {_inline(value)}", []
    yield f"{first:{_COMMENT_COLUMN - 1}} # {comment}" if comment and "#" not in first else first
    yield from others


def _inline(value: Any) -> str:
    """`value` on one line, in the form that `read_yaml` reads back."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = {} if value == type(value)() else dataclasses.asdict(value)
    if isinstance(value, tuple):
        value = list(value)
    # in a list, since the text of a lone value ends in a line of dots
    text = yaml.safe_dump([value], default_flow_style=True, sort_keys=False, width=float("inf"))
    return text.strip()[1:-1]
