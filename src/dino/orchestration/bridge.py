"""Keeps Snakemake's and DVC's notes of what is up to date in agreement (docs/workflow.md).

Snakemake compares the times of files, DVC their contents with dvc.lock. Checkouts, pulls and runs
of the one therefore leave the other with wrong notes; the bridge corrects them.
"""

import json
import re
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from dino.core.artifacts import sha256_of_file, write_text
from dino.core.errors import DinoError
from dino.core.locking import locked_file, while_idle, while_unlocked
from dino.core.outputs import is_there, set_time, time_ns
from dino.core.pipeline import Step, read_pipeline
from dino.orchestration.dvc_lock import has_dvc
from dino.orchestration.kept import LONG_AGO_NS, Kept, kept_folder, recover

SNAKEMAKE = "snakemake"
"""The name of Snakemake in DVC's list of the processes that write files."""
_COMMIT = str(Path(__file__).with_name("dvc_commit.py"))

_HOLDER = re.compile(r"\(PID (\d+)\): (.*)")


class BusyError(DinoError):
    """An error for a command that is writing the files that DVC was asked about."""

    def __init__(self, message: str) -> None:
        """`message` is DVC's, which names the processes."""
        holders = sorted({f"{command} (PID {pid})" for pid, command in _HOLDER.findall(message)})
        self.by_snakemake = any(holder.startswith(SNAKEMAKE) for holder in holders)
        super().__init__(
            f"{', '.join(holders) or 'another command'} is at work here; wait for it to end, then "
            "run the command again"
        )


class Bridge:
    """The two engines' notes on the project at `root`.

    A step's *recipe* is a small file that holds its command, parameters and the checksums of its
    code. It is an input of Snakemake's rule and rewritten only when its content changes, so that
    Snakemake notices a new parameter and overlooks a new modification time of the same code.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.recipes = root / "work" / "recipes"
        self._seen_lock = self.recipes / "dvc.lock.sha256"
        # without a repository around it, DVC cannot be asked; the recipes work alone
        self._with_dvc = has_dvc(root)
        self._claimed = ExitStack()
        self._at_work = kept_folder(root) / SNAKEMAKE
        """A file that Snakemake locks while it executes; one that was killed leaves it."""
        self._steps: tuple[Step, ...] = ()
        """The steps that Snakemake may execute; empty before `claim`."""

    def agree(self) -> None:
        """Set the times of files so that Snakemake finds out of date what truly is.

        DVC is asked only when something looks out of date or dvc.lock has moved: by git, by
        dvc checkout, pull, repro or exp. What it calls unchanged is right whatever its time.
        What it calls changed is out of date only if dvc.lock moved: otherwise it may be newer
        work of Snakemake's, which the times tell. Contents are never altered.
        """
        steps = read_pipeline(self.root)
        self.recover(steps)
        self._write_recipes(steps)
        moved = self._lock_moved()
        good = {step.name for step in self._up_to_date(steps)}
        if not self._with_dvc or not (moved or len(good) < len(steps)):
            return
        try:
            asked = [step.name for step in steps if moved or step.name not in good]
            changed = json.loads(self._dvc("status", "-m", "dvc", "status", "--json", *asked))
        except BusyError as error:
            if error.by_snakemake:
                return  # a look at what another Snakemake is doing: its times are right
            raise
        now_ns = time.time_ns()
        for step in steps:
            if step.name not in changed:
                # a new time for what is good would make what was computed from it look old
                if step.name not in good:
                    self._set_times(step, now_ns)
            elif moved:
                self._set_times(step, LONG_AGO_NS)
        self._remember_lock()

    def out_of_date(self) -> list[Step]:
        """The steps that Snakemake would execute if it started now. Nothing is written.

        A step whose recipe was not written yet, or is another one now, is out of date: whether
        DVC knows better, only `agree` finds out.
        """
        steps = read_pipeline(self.root)
        good = {step.name for step in self._up_to_date(steps)}
        checksums = {path: self._checksum(path) for step in steps for path in step.code}
        stale: set[str] = set()
        for step in steps:
            is_new = self._written_recipe(step) != self._recipe_text(step, checksums)
            if is_new or step.name not in good or not stale.isdisjoint(step.inputs):
                stale.update(step.outputs)
        return [step for step in steps if not stale.isdisjoint(step.outputs)]

    def claim(self) -> None:
        """Hold what all steps have to show, and say in DVC's list of who writes what that this
        process writes what is out of date.

        A `dvc repro` that is started meanwhile then refuses, instead of deleting the outputs of
        jobs that have ended and repeating them. DVC forgets processes that have died. Raises
        `BusyError` when DVC is writing one of the files itself.
        """
        steps = read_pipeline(self.root)
        if self._with_dvc:
            self._claim_in_dvc(steps)
        self._claimed.enter_context(locked_file(self._at_work))
        for step in steps:
            # what is computed at the moment is not whole
            with while_idle(self.root, step.lock) as idle:
                if idle:
                    Kept(self.root, step).hold(step.outputs, forget=True)
        self._steps = steps

    def _claim_in_dvc(self, steps: tuple[Step, ...]) -> None:
        from dvc.exceptions import DvcException
        from dvc.fs import localfs
        from dvc.rwlock import rwlock

        good = {step.name for step in self._up_to_date(steps)}
        outputs = [
            str(self.root / path)
            for step in steps
            if step.name not in good
            for path in step.outputs
        ]
        (self.root / ".dvc" / "tmp").mkdir(exist_ok=True)
        lock = rwlock(str(self.root / ".dvc" / "tmp"), localfs, SNAKEMAKE, [], outputs, False)
        try:
            self._claimed.enter_context(lock)
        except DvcException as error:
            raise BusyError(str(error)) from None

    def record(self) -> None:
        """Put back what failed steps had, then tell DVC (dvc.lock and its cache) of what is new.

        Steps that failed, were not asked for, or whose parameters or code were edited while they
        ran are left out: recording them would declare old results good. When DVC cannot be told,
        a line says so; the results themselves are as good as before.
        """
        self._put_back(self._steps)
        self._claimed.close()
        if not self._with_dvc:
            return
        try:
            steps = read_pipeline(self.root)
            self._write_recipes(steps)
            good = _known_to_dvc(self._up_to_date(steps))
            # whoever moved dvc.lock meanwhile is right; agree() will ask next time
            if good and not self._lock_moved():
                self._dvc("commit", _COMMIT, *(step.name for step in good))
                self._remember_lock()
                for step in good:
                    Kept(self.root, step).release_cached()
                print(f"dvc.lock: {len(good)} of {len(steps)} steps up to date", file=sys.stderr)
        except DinoError as error:
            print(f"DVC does not know of these results yet: {error}", file=sys.stderr)

    def recover(self, steps: tuple[Step, ...] | None = None) -> None:
        """Put back outputs that a killed stage or Snakemake has removed; None: of all steps."""
        steps = read_pipeline(self.root) if steps is None else steps
        recover(self.root, steps)
        if self._at_work.is_file():
            with while_unlocked(self._at_work) as idle:
                if idle:
                    self._put_back(steps)

    def _put_back(self, steps: tuple[Step, ...]) -> None:
        """Give a step that lacks an output its former ones back, after Snakemake has ended."""
        whole = True
        for step in steps:
            kept = Kept(self.root, step)
            try:
                if not all(is_there(self.root / path) for path in step.outputs):
                    whole &= kept.put_back_if_idle()
            except DinoError as error:
                print(error, file=sys.stderr)
                whole = False
        if whole:
            self._at_work.unlink(missing_ok=True)

    def recipe(self, step: Step) -> Path:
        """The file that holds what `step` depends on besides the outputs of other steps."""
        return self.recipes / ("/".join(filter(None, step.target)) + ".json")

    def _write_recipes(self, steps: tuple[Step, ...]) -> None:
        checksums = {path: self._checksum(path) for step in steps for path in step.code}
        reasons: dict[str, set[str]] = {}
        for step in steps:
            text, old = self._recipe_text(step, checksums), self._written_recipe(step)
            if old == text:
                continue
            write_text(self.recipe(step), text)
            if old is not None:
                found = _differences(json.loads(old), json.loads(text))
                reasons.setdefault(step.stage, set()).update(found)
        for stage, names in reasons.items():
            print(f"{stage} depends on what changed: {', '.join(sorted(names))}", file=sys.stderr)

    @staticmethod
    def _recipe_text(step: Step, checksums: dict[str, str]) -> str:
        return json.dumps(step.recipe(checksums.__getitem__), indent=2, sort_keys=True) + "\n"

    def _written_recipe(self, step: Step) -> str | None:
        path = self.recipe(step)
        return path.read_text(encoding="utf-8") if path.is_file() else None

    def _up_to_date(self, steps: tuple[Step, ...]) -> list[Step]:
        """The steps that Snakemake would not execute, judged by the times of files as it does."""
        good: list[Step] = []
        stale = {output for step in steps for output in step.outputs}
        for step in steps:
            written_ns = [time_ns(self.root / path) for path in step.outputs]
            read_ns = [
                time_ns(path)
                for path in (self.recipe(step), *(self.root / path for path in step.inputs))
            ]
            if stale.isdisjoint(step.inputs) and min(written_ns) >= max(read_ns):
                good.append(step)
                stale.difference_update(step.outputs)
        return good

    def _set_times(self, step: Step, ns: int) -> None:
        for output in step.outputs:
            set_time(self.root / output, ns)

    def _lock_moved(self) -> bool:
        seen = self._seen_lock.read_text(encoding="utf-8") if self._seen_lock.is_file() else None
        return seen != self._checksum("dvc.lock")

    def _remember_lock(self) -> None:
        write_text(self._seen_lock, self._checksum("dvc.lock"))

    def _checksum(self, path: str) -> str:
        file = self.root / path
        return sha256_of_file(file) if file.is_file() else "no such file"

    def _dvc(self, task: str, *program: str) -> str:
        """The output of a Python program that calls DVC; that of a commit goes to the user."""
        done = subprocess.run(
            # the program must not import modules that happen to lie beside its file
            [sys.executable, "-P", *program],
            cwd=self.root,
            stdout=sys.__stderr__ if task == "commit" else subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        if done.returncode:
            if " is busy, " in done.stderr:
                raise BusyError(done.stderr)
            reason = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
            raise DinoError(f"dvc {task} failed: {reason}")
        return done.stdout or ""


def _known_to_dvc(steps: list[Step]) -> list[Step]:
    """The steps whose parameters all stand in params.yaml, since DVC knows no defaults."""
    absent = sorted({key for step in steps for key in step.absent})
    if absent:
        print(
            f"dvc.lock: steps that depend on {', '.join(absent)} are left out, since DVC wants "
            "what params.yaml leaves out; add it, empty or as `dino preset` writes it",
            file=sys.stderr,
        )
    return [step for step in steps if not step.absent]


def _differences(old: dict[str, Any], new: dict[str, Any]) -> set[str]:
    """The parts of a recipe that differ: keys of params.yaml, source files or the command."""
    if old["command"] != new["command"]:
        return {"its command"}
    return {
        key if part == "code" else f"{key} in params.yaml"
        for part in ("params.yaml", "code")
        for key in {*old[part], *new[part]}
        if old[part].get(key) != new[part].get(key)
    }
