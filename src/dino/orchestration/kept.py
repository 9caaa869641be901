"""The outputs that a step had, which are kept until new ones are whole (docs/workflow.md).

Both engines remove a step's outputs before they execute it, and Snakemake once more after a
failure. What was there is therefore held a second time, below work/kept, by hard links: they cost
no space, and keep their content when the output is replaced, since every file is written under
another name first.
"""

import os
import shutil
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from dino.core.artifacts import read_json, write_json
from dino.core.errors import DinoError
from dino.core.locking import while_idle
from dino.core.outputs import (
    is_there,
    link,
    remove,
    replacing_output,
    same_files,
    set_time,
)
from dino.core.pipeline import Step
from dino.orchestration.dvc_lock import (
    Content,
    cached_file,
    committed_content,
    has_dvc,
    has_md5,
    lock_entry,
    recorded_md5,
)

LONG_AGO_NS = 946_684_800 * 10**9
"""2000-01-01: the time given to outputs that are out of date. Snakemake ignores the time 0."""
_BY_DVC = "DVC_STAGE"
"""The environment variable that DVC sets for the commands that it executes."""
_ENTRY = "dvc.lock"
"""The file beside the links with the lines of dvc.lock from when they were made."""


def kept_folder(root: Path) -> Path:
    """The folder with the links of all steps of the project at `root`."""
    return root / "work" / "kept"


class Kept:
    """The outputs of `step` of the project at `root`, held by links until new ones are whole."""

    def __init__(self, root: Path, step: Step) -> None:
        self.root = root
        self.step = step
        self.folder = kept_folder(root) / step.name
        self._links = self.folder / "links"
        self._begun = self.folder / "begun.json"
        """A file that exists while the step is computed, and after a computation was killed."""

    def begin(self, *, one_of_several: bool = False) -> None:
        """Hold the present outputs, before a computation that holds the step's lock.

        What a computation that was killed has left is put back first. Of several processes that
        watch the same computation, the first holds what was there.
        """
        if self.has_begun:
            if one_of_several:
                return
            self.put_back()
        self.hold(self.step.outputs)
        absent = [path for path in self.step.outputs if not is_there(self.root / path)]
        write_json(self._begun, {"absent": absent, "by_dvc": _BY_DVC in os.environ})

    def succeed(self) -> None:
        """Hold the new outputs in place of the old ones; the computation has ended well."""
        if not has_dvc(self.root):
            # nobody but Snakemake removes outputs, and it holds them before
            return self.forget()
        try:
            # what DVC executes, it copies into its cache in a moment
            self.hold(self.step.uncached if _BY_DVC in os.environ else self.step.outputs)
            self._begun.unlink(missing_ok=True)
        except DinoError:
            # no reason to lose what is whole
            self.forget()
        return None

    @property
    def has_begun(self) -> bool:
        """Whether a computation is running, or was killed."""
        return self._begun.is_file()

    def forget(self) -> None:
        """Remove all links of the step."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def hold(self, outputs: Iterable[str], *, forget: bool = False) -> None:
        """Hold the existing ones of `outputs` in place of what was held.

        Where none is there, what was held stays, unless `forget` is true. Raises `DinoError` when
        nothing can be held.
        """
        present = [path for path in outputs if is_there(self.root / path)]
        if not present:
            return self.forget() if forget else None
        draft = self.folder / "draft"
        try:
            shutil.rmtree(draft, ignore_errors=True)
            for path in present:
                link(self.root / path, draft / path)
            (draft / _ENTRY).write_text(lock_entry(self.root, self.step.name), encoding="utf-8")
            shutil.rmtree(self._links, ignore_errors=True)
            draft.rename(self._links)
        except OSError as error:
            raise _unwritable(self.folder, error) from error

    def release_cached(self) -> None:
        """Remove the links to outputs that DVC's cache holds, too: they would only take space."""
        for path in set(self.step.outputs) - set(self.step.uncached):
            remove(self._links / path)

    def put_back_if_idle(self) -> bool:
        """Whether the outputs are there or were put back, False while the step is computed."""
        with while_idle(self.root, self.step.lock) as idle:
            if idle:
                self.put_back()
        return idle

    def put_back(self) -> None:
        """Give the step the outputs that it had, with their times.

        What DVC has removed may be newer than what is held: after `dvc checkout` and the like. Then
        its cache and git have what dvc.lock names. Raises `DinoError` when a file cannot be
        written; it is still held then.
        """
        by_dvc, absent = self._circumstances()
        held = {p: self._links / p for p in self.step.outputs if is_there(self._links / p)}
        entry = lock_entry(self.root, self.step.name)
        exact = not by_dvc or (bool(held) and (self._links / _ENTRY).read_text() == entry)
        any_old, new = False, []
        try:
            for path in self.step.outputs:
                target, kept = self.root / path, held.get(path)
                if is_there(target) and path not in absent:
                    any_old = True
                    if not exact or kept is None or same_files(kept, target):
                        continue
                source: Content | None = None
                if by_dvc or path not in absent:
                    source = kept if exact else None
                if by_dvc and source is None:
                    source = self._recorded(path, entry, kept)
                if source is not None:
                    any_old = True
                    _place(source, target, linked=source == kept)
                elif is_there(target):
                    new.append(target)
            # beside old ones, they would look like parts of the same result
            for target in new if any_old else ():
                remove(target)
            self._begun.unlink(missing_ok=True)
        except OSError as error:
            raise _unwritable(self.folder, error) from error

    def _circumstances(self) -> tuple[bool, list[str]]:
        """Whether DVC executes the step, and the outputs that were missing when it began."""
        if self.has_begun:
            begun = read_json(self._begun)
            return begun["by_dvc"], begun["absent"]
        return _BY_DVC in os.environ, []

    def _recorded(self, path: str, entry: str, held: Path | None) -> Content | None:
        """The output that dvc.lock names, from DVC's cache, from the links or from git."""
        md5 = recorded_md5(entry).get(path) if entry else None
        if md5 is None:
            return held
        if path not in self.step.uncached or held is None or not has_md5(held, md5):
            return cached_file(self.root, md5) or committed_content(self.root, path, md5)
        return held


def _place(source: Content, target: Path, *, linked: bool) -> None:
    with replacing_output(target) as draft:
        if linked and isinstance(source, Path):
            link(source, draft)
        else:
            _copy(source, draft)
    if not linked:
        # DVC's and git's: out of date, unless DVC says that it is not
        set_time(target, LONG_AGO_NS)


def _copy(source: Content, target: Path) -> None:
    if isinstance(source, Mapping):
        target.mkdir()
        for name, content in source.items():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            _copy(content, target / name)
        return
    if isinstance(source, bytes):
        target.write_bytes(source)
        return
    from dvc_objects.fs.system import reflink

    try:
        reflink(str(source), str(target))
    except OSError:
        shutil.copyfile(source, target)


def _unwritable(path: Path, error: OSError) -> DinoError:
    reason = error.strerror or str(error)
    return DinoError(
        f"{error.filename or path}: the outputs that were there cannot be held or put back "
        f"({reason}); mend that and run the command again"
    )


def recover(root: Path, steps: Iterable[Step]) -> None:
    """Put back what computations of `steps` that were killed have replaced or removed."""
    for step in steps:
        kept = Kept(root, step)
        if kept.has_begun and kept.put_back_if_idle():
            print(f"{step.lock}: put back what it had before it was killed", file=sys.stderr)
