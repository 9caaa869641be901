"""dvc.yaml as a list of steps: every stage once for every run of params.yaml's matrix."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path, PurePosixPath
from typing import Any

from dino.core.errors import ConfigurationError
from dino.core.yaml_file import read_yaml

_EXPRESSION = re.compile(r"\$\{([\w.]+)\}")
_RUN = re.compile(r"--run (\S+)")


@dataclass(frozen=True, kw_only=True)
class Step:
    """One execution of a stage, for one run or for the whole project."""

    name: str
    """As DVC calls it: report, or pretrain@vit_micro_7-0."""
    stage: str
    command: str
    parameters: Mapping[str, Any]
    """Key in params.yaml (dotted): its value as written there."""
    code: tuple[str, ...]
    """The source files that the stage imports."""
    inputs: tuple[str, ...]
    """The files of earlier steps that it reads."""
    outputs: tuple[str, ...]
    uncached: tuple[str, ...]
    """The outputs that DVC keeps no copy of: those that git holds."""

    @property
    def run(self) -> str | None:
        """The name of the run, None for a stage that every run shares."""
        match = _RUN.search(self.command)
        return match[1] if match else None

    @property
    def lock(self) -> str:
        """The name of the lock that whoever computes the step holds (`dino.core.locking`)."""
        return f"{self.stage}-{self.run}" if self.run else self.stage

    def recipe(self, checksum: Callable[[str], str]) -> dict[str, Any]:
        """What the step depends on besides the outputs of other steps.

        `checksum` gives that of a source file's content.
        """
        return {
            "command": self.command,
            "params.yaml": dict(self.parameters),
            "code": {path: checksum(path) for path in self.code},
        }


def read_pipeline(root: Path) -> tuple[Step, ...]:
    """The steps of `root`/dvc.yaml in its order, which is one that they can be executed in.

    An input that is a folder stands for the outputs of earlier steps below it.
    """
    parameters = read_yaml(root / "params.yaml")
    if not isinstance(parameters, dict):
        raise ConfigurationError("params.yaml: expected sections, such as `pretrain:`")
    steps: list[Step] = []
    for stage, definition in read_yaml(root / "dvc.yaml")["stages"].items():
        axes = {
            axis: _fill(values, parameters) for axis, values in definition.get("matrix", {}).items()
        }
        for axis, values in axes.items():
            if not isinstance(values, list):
                raise ConfigurationError(
                    f"params.yaml: runs.{axis}: this key is required, as a list (got {values!r})"
                )
        for values in product(*axes.values()):
            item = dict(zip(axes, values, strict=True))
            filled = _fill(
                {key: value for key, value in definition.items() if key != "matrix"},
                {**parameters, "item": item},
            )
            name = stage + ("@" + "-".join(map(str, values)) if values else "")
            steps.append(_step(name, stage, filled, parameters, steps))
    return tuple(steps)


def read_step(root: Path, stage: str, run: str | None) -> Step:
    """The step of `root`/dvc.yaml that is `stage` for `run`."""
    steps = [step for step in read_pipeline(root) if step.stage == stage]
    for step in steps:
        if step.run == run:
            return step
    known = ", ".join(step.run for step in steps if step.run) or "none"
    raise ConfigurationError(f"--run: expected one of the runs in params.yaml ({known}), got {run}")


def _step(name: str, stage: str, definition: Any, parameters: Any, earlier: Iterable[Step]) -> Step:
    code, inputs = [], []
    made = [output for step in earlier for output in step.outputs]
    for path in definition["deps"]:
        if path.startswith("src/"):
            code.append(path)
        elif path in made:
            inputs.append(path)
        else:
            inputs += [output for output in made if PurePosixPath(output).is_relative_to(path)]
    entries = [entry for kind in ("outs", "metrics", "plots") for entry in definition.get(kind, [])]
    settings = {
        path: has
        for entry in entries
        for path, has in ({entry: {}} if isinstance(entry, str) else entry).items()
    }
    return Step(
        name=name,
        stage=stage,
        command=definition["cmd"],
        parameters=_tracked(definition.get("params", []), parameters),
        code=tuple(code),
        inputs=tuple(inputs),
        outputs=tuple(settings),
        uncached=tuple(path for path, has in settings.items() if has.get("cache") is False),
    )


def _tracked(entries: list[Any], parameters: Any) -> dict[str, Any]:
    # the entry {"params.yaml": null} means the whole file
    keys: list[str] = []
    for entry in entries:
        keys += [entry] if isinstance(entry, str) else list(parameters)
    return {key: _lookup(key, parameters) for key in keys}


def _fill(value: Any, variables: Any) -> Any:
    """`value` with its ${...} replaced, as DVC does it."""
    if isinstance(value, dict):
        return {_fill(key, variables): _fill(item, variables) for key, item in value.items()}
    if isinstance(value, list):
        return [_fill(item, variables) for item in value]
    if not isinstance(value, str):
        return value
    whole = _EXPRESSION.fullmatch(value)
    if whole:
        return _lookup(whole[1], variables)
    return _EXPRESSION.sub(lambda match: str(_lookup(match[1], variables)), value)


def _lookup(key: str, values: Any) -> Any:
    for part in key.split("."):
        values = values.get(part) if isinstance(values, dict) else None
    return values
