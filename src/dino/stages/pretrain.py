"""pretrain: train a student and its momentum teacher on the prepared images."""

import os
import shutil
from typing import TYPE_CHECKING

import torch

from dino.core.artifacts import sha256_of_file, write_json, write_text
from dino.core.errors import CollapseError
from dino.core.paths import Project
from dino.core.provenance import Stopwatch, provenance
from dino.data.dataset import PreparedDataset
from dino.training.monitor import log_csv
from dino.training.pretrain import Pretraining

if TYPE_CHECKING:
    from dino.core.configuration.parameters import Parameters, Run


def execute(project: Project, parameters: "Parameters", run: "Run") -> None:
    """Write artifacts/RUN/checkpoint.pth and results/RUN/pretrain.csv.

    What an interrupted run continues from lies in work/RUN/FINGERPRINT: other parameters never
    meet it, and a finished run removes it.
    """
    stopwatch = Stopwatch()
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    paths = project.run(run.name)
    architecture = parameters.architectures[run.architecture]
    dataset = PreparedDataset.open(project.data)
    training = Pretraining(dataset, architecture, parameters.pretrain, run.seed)
    state = paths.work / training.fingerprint[:16] / "checkpoint.pth"
    if state.is_file():
        training.resume(state)
        print(f"continuing from step {training.step} of {len(training.schedules)}", flush=True)

    def write_log(training: Pretraining) -> None:
        write_text(paths.training_log, log_csv(training.log))

    started_at_step = training.step
    try:
        training.train(on_log=write_log, on_interval=lambda training: training.save(state))
    except CollapseError as error:
        kept = f"the last good checkpoint is {state}" if state.is_file() else "none was saved yet"
        raise CollapseError(f"step {training.step}: {error}; {kept}") from None
    write_log(training)
    training.save(paths.checkpoint)
    write_json(
        paths.provenance("pretrain"),
        provenance(
            "pretrain",
            {"architecture": architecture, "pretrain": parameters.pretrain},
            project.root,
            stopwatch,
            seed=run.seed,
            data=dataset.fingerprint,
            precision=training.precision,
            device=str(training.device),
            threads=torch.get_num_threads(),
            shards=training.shards,
            steps=training.step - started_at_step,
            resumed_at_step=started_at_step,
            checkpoint=sha256_of_file(paths.checkpoint),
        ),
    )
    shutil.rmtree(paths.work, ignore_errors=True)
