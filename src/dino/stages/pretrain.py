"""pretrain: train a student and its teacher on the prepared images."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from dino.core.artifacts import sha256_of_file, write_json, write_text
from dino.core.distributed import cores, from_main, is_main, process_group, rank
from dino.core.distributed import world_size as number_of_processes
from dino.core.errors import CollapseError
from dino.core.paths import Project
from dino.core.provenance import Stopwatch
from dino.core.resumable import note_training, training_identity
from dino.data.dataset import PreparedDataset
from dino.launch.attempt import ensure_newest_attempt
from dino.model.checkpoint import save_checkpoint
from dino.model.existing_teacher import checkpoint_of, existing_teacher
from dino.stages.saving import save_provenance
from dino.training.checkpoints import CheckpointFolder
from dino.training.interruption import Interruption
from dino.training.monitor import log_csv
from dino.training.pretrain import Pretraining

if TYPE_CHECKING:
    from dino.core.configuration.parameters import Parameters, Run


def execute(project: Project, parameters: "Parameters", run: "Run") -> None:
    """Write artifacts/RUN/checkpoint.pth and results/runs/RUN/pretrain.csv.

    An architecture with weights is not trained: the checkpoint holds them, the log has no row.

    What an interrupted run continues from lies in work/RUN/FINGERPRINT: other parameters never
    meet it, and a finished run leaves its milestones there alone. Several processes that a
    launcher started train together; the first of them writes.
    """
    torch.set_num_threads(cores())
    if parameters.architectures[run.architecture].weights is not None:
        # each of several processes is told to do the same, which takes no time
        if is_main():
            _take_over(project, parameters, run)
        return
    command = f"dino pretrain --run {run.name}, or what called it"
    with process_group(), Interruption(command) as interruption:
        _pretrain(project, parameters, run, interruption)


def _take_over(project: Project, parameters: "Parameters", run: "Run") -> None:
    """Write the outputs of a training of no step, whose teacher was trained elsewhere."""
    stopwatch = Stopwatch()
    paths = project.run(run.name)
    architecture = parameters.architectures[run.architecture]
    teacher = existing_teacher(architecture)
    write_text(paths.training_log, log_csv([]))
    save_checkpoint(paths.checkpoint, checkpoint_of(teacher, architecture, run.seed))
    save_provenance(
        project,
        "pretrain",
        run,
        stopwatch,
        {"architecture": architecture},
        data=None,
        precision=None,
        weights=teacher.sha256,
        total_steps=0,
        steps=0,
        checkpoint=sha256_of_file(paths.checkpoint),
    )


def _pretrain(
    project: Project, parameters: "Parameters", run: "Run", interruption: Interruption
) -> None:
    stopwatch = Stopwatch()
    paths = project.run(run.name)
    architecture = parameters.architectures[run.architecture]
    config = parameters.pretrain_of(run)
    dataset = PreparedDataset.open(project.data(parameters.trained_on))
    training = Pretraining(dataset, architecture, config, run.seed)
    folder = CheckpointFolder(paths.work / training.fingerprint[:16], config.checkpoints.keep)
    if is_main():
        note_training(folder.folder, training_identity(project, parameters, run))
    newest = from_main(folder.newest() if is_main() else None)
    if newest is not None:
        training.restore(folder.load(newest))
        if is_main():
            print(f"continuing from step {training.step} of {len(training.schedules)}", flush=True)

    def write_log(training: Pretraining) -> None:
        if is_main():
            write_text(paths.training_log, log_csv(training.log))

    def save(training: Pretraining) -> None:
        if not is_main():
            return
        ensure_newest_attempt()
        folder.save(training.step, training.content())
        every, epoch = config.checkpoints.milestone_epochs, training.finished_epochs
        if every and epoch is not None and epoch % every == 0:
            folder.milestone(epoch, training.content())

    started_at_step = training.step
    try:
        training.train(on_log=write_log, on_checkpoint=save, interruption=interruption)
    except CollapseError as error:
        raise _naming_what_is_kept(error, folder, paths.work) from None
    if not is_main():
        return
    write_log(training)
    save_checkpoint(paths.checkpoint, training.content())
    save_provenance(
        project,
        "pretrain",
        run,
        stopwatch,
        {"architecture": architecture, "variant": run.variant, "pretrain": config},
        data=dataset.fingerprint,
        precision=training.precision,
        device=str(training.device),
        processes=number_of_processes(),
        threads=torch.get_num_threads(),
        shards=training.stepper.shards,
        total_steps=len(training.schedules),
        steps=training.step - started_at_step,
        resumed_at_step=started_at_step,
        skipped_steps=training.skipped,
        checkpoint=sha256_of_file(paths.checkpoint),
    )
    folder.clear()
    if not any(paths.work.rglob("*.pth")):
        shutil.rmtree(paths.work, ignore_errors=True)


def _naming_what_is_kept(
    error: CollapseError, folder: CheckpointFolder, work: Path
) -> CollapseError:
    """The error with the checkpoint to go on from and, where numbers are none, their report."""
    kept = folder.newest() if is_main() else None
    text = "no checkpoint was saved yet"
    if kept:
        # no checkpoint is made from NaN or infinite numbers; one may show a collapse
        which = "last good" if error.report is not None else "newest"
        text = f"the {which} checkpoint is {kept}"
    if error.report is not None:
        report = work / f"not_finite-rank{rank()}.json"
        write_json(report, error.report)
        text += f"; all norms and images stand in {report}"
    return CollapseError(f"{error}; {text}")
