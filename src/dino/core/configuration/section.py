"""The decorator behind every section of params.yaml, and the translation of its errors."""

from typing import Any, TypeVar, dataclass_transform

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from dino.core.errors import ConfigurationError

T = TypeVar("T")
_ADAPTERS: dict[type, TypeAdapter[Any]] = {}


@dataclass_transform(kw_only_default=True, frozen_default=True)
def section(cls: type[T]) -> type[T]:
    """`cls` as a frozen keyword-only dataclass that refuses unknown keys and bad values."""
    config = ConfigDict(extra="forbid", allow_inf_nan=False)
    decorated: type = dataclass(frozen=True, kw_only=True, config=config)(cls)
    return decorated


def parse(cls: type[T], values: Any, where: str) -> T:
    """`values` (plain dictionaries and lists) as an instance of the section `cls`.

    Raises `ConfigurationError` that names the first offending key below `where`, what was
    expected and what came.
    """
    try:
        if cls not in _ADAPTERS:
            _ADAPTERS[cls] = TypeAdapter(cls)
        parsed: T = _ADAPTERS[cls].validate_python({} if values is None else values)
    except ValidationError as error:
        raise ConfigurationError(_one_line(error, where)) from None
    return parsed


def _one_line(error: ValidationError, where: str) -> str:
    problems = error.errors(include_url=False)
    first = problems[0]
    path = ".".join([where, *(str(part) for part in first["loc"])]).strip(".")
    if first["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        message = f"{path}: unknown key; remove it or correct its spelling"
    elif first["type"] in ("missing", "missing_argument", "missing_keyword_only_argument"):
        message = f"{path}: this key is required"
    else:
        expected = first["msg"].removeprefix("Value error, ").removeprefix("Input ")
        message = f"{path}: {expected}"
        # the checks of whole sections say themselves what came
        if first["type"] != "value_error":
            message += f" (got {first['input']!r})"
    others = len(problems) - 1
    return message + (f" (and {others} more problem{'s' * (others > 1)})" if others else "")
