"""Whether the files of a project can be written where they belong."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from dino.core.errors import DinoError
from dino.core.paths import Project

if TYPE_CHECKING:
    from dino.core.configuration.parameters import Parameters


def unwritable_folders(project: Project, parameters: "Parameters") -> Iterator[DinoError]:
    """An error for each folder in which a stage could not make its files; nothing stays there."""
    root = project.root
    wanted = [root / "data", project.results, root / "work", root / "logs", root / "artifacts"]
    for run in parameters.all_runs():
        paths = project.run(run.name)
        wanted += [paths.results, paths.artifacts, paths.work]
    # folders that are not there yet are made in the nearest one that is
    existing = {next(p for p in (folder, *folder.parents) if p.exists()) for folder in wanted}
    for folder in sorted(existing):
        reason = _refusal(folder)
        if reason is not None:
            yield DinoError(f"{folder} {reason}")


def _refusal(folder: Path) -> str | None:
    """The reason why no file can be made in `folder`; None if one can."""
    if not folder.is_dir():
        return "is a file where a folder is needed; move it away"
    try:
        with tempfile.TemporaryFile(dir=folder):
            return None
    except OSError as error:
        return f"cannot be written ({error.strerror}); check its permissions and the disk"
