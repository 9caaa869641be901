"""The folder that a job works in: the project as it was when the job was submitted.

A job may wait for days, while parameters and code are edited. It therefore has its own copy of
both, and links to everything else. What it writes stays there until the launcher publishes it: an
engine that was killed deletes, when it starts again, what its unfinished step had written.
"""

import hashlib
import json
import shlex
import shutil
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from dino.core.artifacts import read_json, sha256_of_file, write_json
from dino.core.errors import DinoError
from dino.core.outputs import is_there, link, replacing_output, set_time
from dino.core.paths import Project
from dino.core.pipeline import Step, read_step
from dino.core.provenance import SNAPSHOT, git_state

_NOT_LINKED = frozenset({"params.yaml", "src", "work", "logs", "results", "artifacts"})
_DIGITS = 12
RESULT = "result.json"
"""The file that a job writes last."""


@dataclass(frozen=True)
class Snapshot:
    """The folder work/jobs/STAGE[-RUN]/KEY for one step of the project at `root`.

    KEY is a checksum of all that the step's result depends on: command, parameters, code and
    inputs. Equal keys have equal results, so that a second command finds the job of the first.
    """

    root: Path
    step: Step

    @cached_property
    def key(self) -> str:
        """The checksum of the step's recipe and inputs when this is first asked for."""
        return _key(self._recipe_now(), self.inputs)

    @cached_property
    def inputs(self) -> dict[str, str]:
        """The checksums of the input files when this is first asked for."""
        return self._inputs_now()

    def _recipe_now(self) -> dict[str, Any]:
        # read anew: parameters may have been edited
        step = read_step(self.root, self.step.target)
        return step.recipe(lambda path: sha256_of_file(self.root / path))

    def _inputs_now(self) -> dict[str, str]:
        missing = [path for path in self.step.inputs if not (self.root / path).is_file()]
        if missing:
            raise DinoError(
                f"{missing[0]}: not found; run the stages before {self.step.stage} first, "
                "snakemake does it by itself"
            )
        return {path: sha256_of_file(self.root / path) for path in self.step.inputs}

    @property
    def home(self) -> Path:
        """The folder in which the folders of the same step with other keys lie, too."""
        return self.root / "work" / "jobs" / self.step.target.name

    @property
    def folder(self) -> Path:
        """The job's working folder."""
        return self.home / self.key

    @property
    def job_name(self) -> str:
        """The job's name in SLURM: equal requests of this checkout have equal names."""
        return f"{job_prefix(self.root)}{self.home.name}-{self.key}"

    @property
    def arguments(self) -> list[str]:
        """The step's command without the program's name."""
        program, *arguments = self.step.command.split()
        assert program == "dino", self.step.command
        return arguments

    @property
    def setup(self) -> list[str]:
        """Lines of shell that bring a process into the folder, with its copy of the code."""
        return setup_lines(self.folder, self.folder / "src")

    def make(self) -> None:
        """Create the folder, or give the one that is there the present code.

        Raises `DinoError` when parameters, code or inputs were edited since the key was made.
        """
        code = self.folder / "src"
        shutil.rmtree(code if (self.folder / SNAPSHOT).is_file() else self.folder, True)
        self.folder.mkdir(parents=True, exist_ok=True)
        # with the times of the files, and so with the compiled code that belongs to them
        shutil.copytree(self.root / "src", code)
        if (self.folder / SNAPSHOT).is_file():
            self._ensure_unchanged(self._inputs_now())
            return
        shutil.copy(self.root / "params.yaml", self.folder)
        self._ensure_unchanged(self._inputs_now())
        outputs = [PurePosixPath(path) for path in self.step.outputs]
        for entry in sorted(self.root.iterdir()):
            if entry.name not in _NOT_LINKED and not entry.name.startswith("."):
                _mirror(entry, self.folder / entry.name, _below(outputs, entry.name))
        for name in ("artifacts", "results"):
            (self.root / name).mkdir(exist_ok=True)
            _mirror(self.root / name, self.folder / name, _below(outputs, name))
        if self.step.run:
            # what an interrupted run continues from is the same wherever it is computed
            state = Project(root=self.root).run(self.step.run).work
            state.mkdir(parents=True, exist_ok=True)
            (self.folder / "work").mkdir()
            (self.folder / "work" / self.step.run).symlink_to(state)
        facts = {"git": git_state(self.root), "command": self.step.command, "root": str(self.root)}
        write_json(self.folder / SNAPSHOT, facts)

    def publish(self) -> None:
        """Give the project the files that the job has written, as if it had worked there.

        They stay here as well (as links, which cost nothing): an engine that is killed before it
        has noted its success deletes them there, and asks for them again. Raises `DinoError` when
        the inputs are no longer those that the job was submitted for.
        """
        missing = [path for path in self.step.outputs if not is_there(self.folder / path)]
        if missing:
            raise DinoError(
                f"{self.folder / missing[0]}: not found, although the job has ended well; delete "
                f"{self.folder} and run the command again"
            )
        inputs = self._inputs_now()
        if inputs != self.inputs:
            # the job read them through links: nobody knows which ones
            (self.folder / RESULT).unlink(missing_ok=True)
        self._ensure_unchanged(inputs)
        for path in self.step.outputs:
            with replacing_output(self.root / path) as draft:
                link(self.folder / path, draft)
                # newer than its inputs, as if it was written just now: Snakemake compares times
                set_time(draft, time.time_ns())

    def _ensure_unchanged(self, inputs: dict[str, str]) -> None:
        if _key(self._recipe_now(), inputs) != self.key:
            raise DinoError(
                f"{self.step.name}: parameters, code or inputs were changed after the command was "
                "given, and a result would not be theirs; run the command again"
            )

    def remove_older(self) -> None:
        """Forget the finished jobs of this step that had other parameters, code or inputs."""
        for folder in self.home.iterdir():
            if folder != self.folder and (folder / RESULT).is_file():
                shutil.rmtree(folder, ignore_errors=True)


def _key(recipe: dict[str, Any], inputs: dict[str, str]) -> str:
    text = json.dumps([recipe, inputs], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]


def job_prefix(root: Path) -> str:
    """The beginning of the names of all jobs of the checkout at `root`, and of no other."""
    digest = hashlib.sha256(str(root.resolve()).encode()).hexdigest()
    return f"dino-{digest[:6]}-"


def setup_lines(folder: Path, code: Path) -> list[str]:
    """Lines of shell that bring a process into `folder`, with the package in `code`."""
    path = shlex.quote(str(code))
    return [
        f"cd {shlex.quote(str(folder))} || exit 1",
        f"export PYTHONPATH={path}${{PYTHONPATH:+:$PYTHONPATH}}",
    ]


def read_result(folder: Path) -> dict[str, Any] | None:
    """The content of the file that a job writes last; None before that."""
    path = folder / RESULT
    # on network file systems, a look at the folder brings its newest content
    if not folder.is_dir() or RESULT not in {entry.name for entry in folder.iterdir()}:
        return None
    result: dict[str, Any] = read_json(path)
    return result


def _below(paths: Iterable[PurePosixPath], name: str) -> list[PurePosixPath]:
    return [PurePosixPath(*path.parts[1:]) for path in paths if path.parts[0] == name]


def _mirror(source: Path, target: Path, outputs: list[PurePosixPath]) -> None:
    """`target` as a link to `source`; a folder of links where the job writes some files below it.

    `outputs` are those files, relative to `source`; they are absent from the mirror.
    """
    if not outputs:
        target.symlink_to(source.resolve())
        return
    target.mkdir()
    names = {path.parts[0] for path in outputs}
    for entry in sorted(source.iterdir()) if source.is_dir() else []:
        if entry.name not in names:
            (target / entry.name).symlink_to(entry.resolve())
    for name in sorted(names):
        inside = _below(outputs, name)
        if PurePosixPath() not in inside:
            _mirror(source / name, target / name, inside)
