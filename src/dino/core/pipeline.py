"""dvc.yaml as a list of steps: every stage once for each run or data set of params.yaml."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from dino.core.errors import ConfigurationError
from dino.core.yaml_file import read_yaml

_EXPRESSION = re.compile(r"\$\{([\w.]+)\}")
_RUN = re.compile(r"--run (\S+)")
_DATASET = re.compile(r"--dataset (\S+)")


class Target(NamedTuple):
    """A stage, and the run or the data set for which it is executed."""

    stage: str
    run: str | None = None
    """The name of a run; None for a stage that all runs share."""
    dataset: str | None = None
    """The name of a data set; None for a stage that is executed once, whatever their number."""

    @property
    def name(self) -> str:
        """A name for locks, jobs and folders, such as pretrain-vit_micro_7-dino-s0."""
        return "-".join(filter(None, self))

    @property
    def options(self) -> str:
        """The options that follow the stage's name on the command line."""
        return "".join(
            f" --{key} {value}"
            for key, value in (("run", self.run), ("dataset", self.dataset))
            if value
        )


@dataclass(frozen=True, kw_only=True)
class Step:
    """One execution of a stage: for a run, for a data set, or for the whole project."""

    name: str
    """DVC's name for it: report, or pretrain@vit_micro_7-0."""
    stage: str
    command: str
    parameters: Mapping[str, Any]
    """The values in params.yaml that it depends on, by dotted key."""
    absent: tuple[str, ...]
    """The keys among them that params.yaml leaves out, whose values are the defaults."""
    code: tuple[str, ...]
    """The source files that the stage imports."""
    inputs: tuple[str, ...]
    """The files of earlier steps that it reads."""
    outputs: tuple[str, ...]
    uncached: tuple[str, ...]
    """The outputs that git holds, of which DVC keeps no copy."""

    @property
    def run(self) -> str | None:
        """The name of the run, None for a stage that every run shares."""
        return self.target.run

    @property
    def target(self) -> Target:
        """The stage, the run and the data set that the step's command names."""
        run, dataset = _RUN.search(self.command), _DATASET.search(self.command)
        return Target(self.stage, run[1] if run else None, dataset[1] if dataset else None)

    @property
    def lock(self) -> str:
        """The name of the lock that is held while the step is computed (`dino.core.locking`)."""
        return self.target.name

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
    """The steps of `root`/dvc.yaml, in an order in which they can be executed.

    An input that is a folder stands for the outputs of earlier steps below it. A data set that no
    step reads is not prepared: that step is left out.
    """
    steps = _every_step(root)
    read = {path for step in steps for path in step.inputs}
    return tuple(
        step for step in steps if step.stage != "prepare" or not read.isdisjoint(step.outputs)
    )


def _every_step(root: Path) -> tuple[Step, ...]:
    parameters = read_yaml(root / "params.yaml")
    if not isinstance(parameters, dict):
        raise ConfigurationError("params.yaml: expected sections, such as `pretrain:`")
    steps: list[Step] = []
    for stage, definition in read_yaml(root / "dvc.yaml")["stages"].items():
        for name, variables, body in _instances(stage, definition, parameters):
            filled = _fill(body, {**parameters, **variables})
            steps.append(_step(name, stage, filled, parameters, steps))
    return tuple(steps)


def read_step(root: Path, target: Target) -> Step:
    """The step of `root`/dvc.yaml that is for `target`."""
    steps = [step for step in _every_step(root) if step.stage == target.stage]
    for step in steps:
        if step.target == target:
            return step
    known = ", ".join(f"`{step.command}`" for step in steps) or "none"
    raise ConfigurationError(
        f"dino {target.stage}{target.options}: expected one of the steps of params.yaml ({known})"
    )


def _instances(stage: str, definition: Any, parameters: Any) -> Iterator[tuple[str, Any, Any]]:
    """The name of each of a stage's steps, its variables, and what they are filled into."""
    if "foreach" in definition:
        values = _fill(definition["foreach"], parameters)
        if not isinstance(values, dict) or not values:
            raise ConfigurationError("params.yaml: datasets: this key is required, with names")
        for key, item in values.items():
            yield f"{stage}@{key}", {"key": key, "item": item}, definition["do"]
        return
    axes = {
        axis: _fill(values, parameters) for axis, values in definition.get("matrix", {}).items()
    }
    for axis, values in axes.items():
        if not isinstance(values, list):
            raise ConfigurationError(
                f"params.yaml: runs.{axis}: this key is required, as a list (got {values!r})"
            )
    body = {key: value for key, value in definition.items() if key != "matrix"}
    for combination in product(*axes.values()):
        name = stage + ("@" + "-".join(map(str, combination)) if combination else "")
        yield name, {"item": dict(zip(axes, combination, strict=True))}, body


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
    tracked = _tracked(definition.get("params", []), parameters)
    return Step(
        name=name,
        stage=stage,
        command=definition["cmd"],
        parameters=tracked,
        absent=tuple(key for key in tracked if not _holds(key, parameters)),
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


def _holds(key: str, values: Any) -> bool:
    """Whether params.yaml has the dotted `key`, be it with the value null."""
    above, _, last = key.rpartition(".")
    section = _lookup(above, values) if above else values
    return isinstance(section, dict) and last in section


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
    return _EXPRESSION.sub(lambda match: _as_text(match[1], variables), value)


def _as_text(key: str, variables: Any) -> str:
    value = _lookup(key, variables)
    if value is None:
        raise ConfigurationError(f"params.yaml: {key}: dvc.yaml asks for this key; give it a value")
    return str(value)


def _lookup(key: str, values: Any) -> Any:
    for part in key.split("."):
        values = values.get(part) if isinstance(values, dict) else None
    return values
