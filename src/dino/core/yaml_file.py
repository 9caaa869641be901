"""Reading of YAML files that people write, so that every program reads the same in them.

PyYAML follows version 1.1 of the language and DVC's parser version 1.2: `010` is 8 for the one and
10 for the other, and of a key that is there twice the one takes the last. What is not the same for
both is refused here; numbers such as 1e-3 are read as DVC reads them.
"""

import re
from pathlib import Path
from typing import Any

import yaml

from dino.core.errors import ConfigurationError

_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FLOAT = re.compile(
    r"[-+]?[0-9]+(\.[0-9]*([eE][-+]?[0-9]+)?|[eE][-+]?[0-9]+)"
    r"|[-+]?\.[0-9]+([eE][-+][0-9]+)?"
    r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
)
_TRUTH = re.compile(r"true|True|TRUE|false|False|FALSE")
_NOTHING = re.compile(r"|~|null|Null|NULL")
_MERGED = re.compile(r"<<")
_ALIKE = {
    "tag:yaml.org,2002:null": _NOTHING,
    "tag:yaml.org,2002:bool": _TRUTH,
    "tag:yaml.org,2002:int": _INTEGER,
    "tag:yaml.org,2002:float": _FLOAT,
    "tag:yaml.org,2002:merge": _MERGED,
}
"""For each type, the form of a value without quotes that every reader takes for this type."""
_SWITCH = re.compile(r"(yes|on)|(no|off)", re.IGNORECASE)
_OTHER_NUMBER = re.compile(
    r"[-+]?(?=[._]*[0-9])[0-9_.:]+([eE][-+]?[0-9_]+)?|[-+]?0[box][0-9a-fA-F_]+"
)
"""Octal, hexadecimal, binary, with underscores, base 60: numbers for some readers."""
_STRING = "tag:yaml.org,2002:str"


def read_yaml(path: Path, hint: str = "run from the project's root") -> Any:
    """The content of `path`; `hint` says what to do when there is none.

    Raises `ConfigurationError`, in one line, when it is missing or not YAML, when a key is there
    twice, and for a value that not every program reads alike.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigurationError(f"{path}: not found; {hint}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: cannot be read as text ({error})") from None
    return parse_yaml(text, str(path))


def parse_yaml(text: str, where: str) -> Any:
    """The content of `text`, which stands in the file `where`; raises what `read_yaml` raises."""
    return parse_yaml_nodes(text, where)[0]


def parse_yaml_nodes(text: str, where: str) -> tuple[Any, yaml.Node | None]:
    """The content of `text`, and its nodes with the lines that they stand in."""
    reader = _Reader(text)
    try:
        root = reader.get_single_node()
        if root is None:
            return None, None
        _ensure_read_alike(root, where, "")
        return reader.construct_document(root), root
    # ValueError: a number of thousands of digits
    except (yaml.YAMLError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ConfigurationError(f"{where}: not valid YAML: {reason}") from None
    except RecursionError:
        raise ConfigurationError(
            f"{where}: expected values that do not contain themselves"
        ) from None
    finally:
        reader.dispose()


class _Reader(yaml.SafeLoader):
    """PyYAML's reader with the numbers of version 1.2, in which 1e-3 is one."""

    # without PyYAML's own resolvers, whose ambiguous values are refused before they are built
    yaml_implicit_resolvers = {}  # noqa: RUF012


for _tag, _pattern in _ALIKE.items():
    _Reader.add_implicit_resolver(_tag, re.compile(f"(?:{_pattern.pattern})$"), None)


def _ensure_read_alike(node: yaml.Node, where: str, key: str) -> None:
    line = node.start_mark.line + 1
    if isinstance(node, yaml.ScalarNode):
        if node.style is None and node.tag == _STRING and (advice := _advice(node.value)):
            raise ConfigurationError(
                f"{where}, line {line}: {key or 'the file'}: not every program reads {node.value} "
                f"alike; write {advice}"
            )
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            _ensure_read_alike(item, where, f"{key}.{index}" if key else str(index))
    elif isinstance(node, yaml.MappingNode):
        lines: dict[str, int] = {}
        for name_node, value in node.value:
            name = name_node.value if isinstance(name_node, yaml.ScalarNode) else "a key"
            below = f"{key}.{name}" if key else name
            _ensure_read_alike(name_node, where, below)
            again = name_node.start_mark.line + 1
            if isinstance(name_node, yaml.ScalarNode) and name in lines:
                raise ConfigurationError(
                    f"{where}: {below}: there twice, in line {lines[name]} and in line {again}; "
                    "remove one of them"
                )
            lines[name] = again
            _ensure_read_alike(value, where, below)


def _advice(text: str) -> str | None:
    """What to write in place of `text` without quotes; None if all readers take it for a string."""
    if switch := _SWITCH.fullmatch(text):
        return f'{"true" if switch[1] else "false"}, or "{text}" in quotes'
    if text == "=" or _OTHER_NUMBER.fullmatch(text):
        return f'a decimal number without leading zeros, _ and :, or "{text}" in quotes'
    if re.match(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}", text):
        return f'"{text}" in quotes'
    return None
