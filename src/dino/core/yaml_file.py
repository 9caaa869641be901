"""Reading of YAML files that people write."""

from pathlib import Path
from typing import Any

import yaml

from dino.core.errors import ConfigurationError


def read_yaml(path: Path, hint: str = "run from the project's root") -> Any:
    """The content of `path`; `hint` says what to do when there is none.

    Raises `ConfigurationError`, in one line, when it is missing or is no YAML.
    """
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigurationError(f"{path}: not found; {hint}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: cannot be read as text ({error})") from None
    except yaml.YAMLError as error:
        raise ConfigurationError(
            f"{path}: not valid YAML: {' '.join(str(error).split())}"
        ) from None
