"""The files of a project that nothing in params.yaml needs any more."""

import filecmp
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dino.core.artifacts import read_json
from dino.core.configuration.parameters import Parameters
from dino.core.outputs import files_of, is_there
from dino.core.paths import Project
from dino.core.pipeline import read_pipeline
from dino.core.provenance import plain
from dino.core.resumable import noted_training, training_identity
from dino.orchestration.kept import Kept, kept_folder

_RUN = re.compile(r"\w+-\w+-s\d+")


@dataclass(frozen=True, kw_only=True)
class Leftover:
    """A file or folder that can be removed."""

    path: Path
    what: str
    again: str
    """How to get it back."""


def leftovers(project: Project, parameters: Parameters) -> Iterator[Leftover]:
    """The files that params.yaml does not ask for, and those that can neither be resumed nor used.

    The milestones of a run stay as long as params.yaml asks for the run.
    """
    yield from _other_runs(project.root, {run.name for run in parameters.all_runs()})
    yield from _other_datasets(project, parameters)
    yield from _other_trainings(project, parameters)
    yield from _after_the_preparation(project, parameters)
    yield from _held_or_computed_by_jobs(project.root)
    yield from _finished_records(project.root)
    logs = project.root / ".snakemake" / "log"
    if logs.is_dir():
        yield Leftover(path=logs, what="logs of earlier snakemakes", again="not at all")


def _other_runs(root: Path, runs: set[str]) -> Iterator[Leftover]:
    again = {
        "artifacts": "`dvc checkout` at a commit that has it, or snakemake with its run",
        "results/runs": "snakemake with its run in params.yaml",
        "work": "by training it anew",
    }
    for folder, how in again.items():
        for path in sorted((root / folder).glob("*")):
            if path.is_dir() and _RUN.fullmatch(path.name) and path.name not in runs:
                yield Leftover(path=path, what="run that params.yaml does not ask for", again=how)
    for path in sorted((root / "logs").glob("*/*.log")):
        if _RUN.fullmatch(path.stem) and path.stem not in runs:
            what = "log of a run that params.yaml does not ask for"
            yield Leftover(path=path, what=what, again="not at all")


def _other_trainings(project: Project, parameters: Parameters) -> Iterator[Leftover]:
    """Interrupted trainings of other parameters or data than the run has now."""
    if not (project.data(parameters.trained_on) / "dataset.json").is_file():
        return
    for run in parameters.all_runs():
        now = training_identity(project, parameters, run)
        for folder in sorted(project.run(run.name).work.glob("*")):
            noted = noted_training(folder) if folder.is_dir() else None
            if noted in (None, now):
                continue
            what = "interrupted training with other parameters or data"
            again = "by training it anew"
            if not (folder / "milestones").is_dir():
                yield Leftover(path=folder, what=what, again=again)
                continue
            for path in sorted(folder.glob("*.pth*")):
                yield Leftover(path=path, what=what, again=again)


def _other_datasets(project: Project, parameters: Parameters) -> Iterator[Leftover]:
    for path in sorted((project.root / "data").glob("*/dataset.json")):
        if path.parent.name not in parameters.datasets:
            what = "data set that params.yaml does not have"
            yield Leftover(path=path.parent, what=what, again="by preparing it anew")


def _after_the_preparation(project: Project, parameters: Parameters) -> Iterator[Leftover]:
    """The files that `prepare` needed before the data sets of params.yaml were whole."""
    whole = [name for name in parameters.datasets if _is_whole(project, parameters, name)]
    if project.downloads.is_dir() and len(whole) == len(parameters.datasets):
        again = "fetched again when prepare needs it"
        yield Leftover(path=project.downloads, what="download", again=again)
    for name in whole:
        for folder in sorted(project.preparation(name).glob("*")):
            what = "interrupted preparation; the data are whole"
            yield Leftover(path=folder, what=what, again="by preparing anew")


def _is_whole(project: Project, parameters: Parameters, name: str) -> bool:
    """Whether a data set is prepared as params.yaml asks for it."""
    made = project.provenance("prepare", name)
    if not made.is_file() or not (project.data(name) / "dataset.json").is_file():
        return False
    recorded = read_json(made)["parameters"].get("datasets", {})
    return bool(recorded.get(name) == plain(parameters.datasets[name]))


def _held_or_computed_by_jobs(root: Path) -> Iterator[Leftover]:
    steps = {step.name: step for step in read_pipeline(root)}
    for folder in sorted(kept_folder(root).glob("*/")):
        step = steps.get(folder.name)
        if step is None:
            what, again = "outputs of a run that params.yaml does not ask for", "not at all"
            yield Leftover(path=folder, what=what, again=again)
        elif not Kept(root, step).has_begun and all(is_there(root / p) for p in step.outputs):
            links = folder / "links"
            for held in (file for output in step.outputs for file in files_of(links / output)):
                now = root / held.relative_to(links)
                # DVC replaces a file by an equal one when it records it
                if not now.is_file() or not filecmp.cmp(held, now, shallow=False):
                    what = "output that was replaced since"
                    yield Leftover(path=held, what=what, again="`dvc checkout`, if committed")
    locks = {step.lock for step in steps.values()}
    for folder in sorted((root / "work/jobs").glob("*/")):
        if folder.name not in locks:
            what = "SLURM job of a run that params.yaml does not ask for"
            yield Leftover(path=folder, what=what, again="by computing it anew")


def _finished_records(root: Path) -> Iterator[Leftover]:
    for folder in sorted((root / "work/records").glob("*/")):
        if (root / "records" / folder.name / "provenance.json").is_file():
            what = f"where records/{folder.name} was computed"
            yield Leftover(path=folder, what=what, again=f"`dino record {folder.name}`")
