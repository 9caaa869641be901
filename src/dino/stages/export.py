"""export: write the teacher, and the same network before step 0, as timm folders."""

from typing import TYPE_CHECKING

from dino.core.artifacts import sha256_of_file
from dino.core.errors import CheckpointError
from dino.core.paths import MODELS, RANDOM_INIT, TEACHER, Project
from dino.core.provenance import Stopwatch, plain
from dino.features.teacher import WEIGHTS, backbone_weights, save_backbone
from dino.model.checkpoint import load_checkpoint
from dino.model.existing_teacher import ensure_unchanged, pixel_statistics
from dino.model.student_teacher import initial_backbone
from dino.stages.saving import save_provenance

if TYPE_CHECKING:
    from dino.core.configuration.parameters import Parameters, Run


def execute(project: Project, parameters: "Parameters", run: "Run") -> None:
    """Write artifacts/RUN/teacher and artifacts/RUN/random_init."""
    stopwatch = Stopwatch()
    paths = project.run(run.name)
    architecture = parameters.architectures[run.architecture]
    checkpoint = load_checkpoint(paths.checkpoint)
    if checkpoint["architecture"] != plain(architecture):
        raise CheckpointError(
            f"{paths.checkpoint}: was made with other values of architectures.{run.architecture} "
            "than params.yaml has; run `dino pretrain` again"
        )
    if checkpoint["seed"] != run.seed:
        raise CheckpointError(
            f"{paths.checkpoint}: expected seed {run.seed} as in the run's name, got "
            f"{checkpoint['seed']}; run `dino pretrain` again"
        )
    if architecture.weights is not None:
        ensure_unchanged(architecture.weights, checkpoint["fingerprint"])
    pixels = pixel_statistics(checkpoint["teacher"])
    weights = backbone_weights(checkpoint["teacher"])
    save_backbone(paths.model(TEACHER), architecture, weights, pixels)
    initial = initial_backbone(architecture, run.seed)
    save_backbone(paths.model(RANDOM_INIT), architecture, initial.state_dict(), pixels)
    save_provenance(
        project,
        "export",
        run,
        stopwatch,
        {"architecture": architecture},
        data=None,
        precision=None,
        checkpoint=sha256_of_file(paths.checkpoint),
        models={model: sha256_of_file(paths.model(model) / WEIGHTS) for model in MODELS},
    )
