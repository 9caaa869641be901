"""The networks from which a training starts: with random weights, or those of a checkpoint."""

from pathlib import Path

import torch
from torch import Tensor, nn

from dino.core.configuration.architecture import ArchitectureConfig
from dino.core.configuration.pretrain import HeadConfig, PretrainConfig
from dino.core.distributed import world_size
from dino.core.errors import CheckpointError, ConfigurationError
from dino.core.seeding import seeded
from dino.model.batch_norm import has_batch_norm, synchronise_batch_norm
from dino.model.reference_checkpoint import (
    ReferenceNetwork,
    architecture_of,
    load_reference_checkpoint,
)
from dino.model.student_teacher import (
    MultiCropNetwork,
    StudentTeacher,
    build_student_teacher,
    build_teacher,
)
from dino.model.weights import without_classifier
from dino.objective.center import Center


def starting_point(
    architecture: ArchitectureConfig, config: PretrainConfig, seed: int, device: torch.device
) -> tuple[StudentTeacher, Center]:
    """The networks and the center before step 0, as `initial` and `teacher.checkpoint` say.

    A full checkpoint gives both networks with their heads and the center, a backbone alone gives
    both their backbones; optimizer and schedules always begin anew. A fixed teacher brings its
    own center. Raises `CheckpointError` for a file that does not fit the parameters, and
    `ConfigurationError` for parts of a batch in which the images of a whole one would meet.
    """
    teacher, center_value = None, None
    if config.teacher.checkpoint is not None:
        teacher, center_value = fixed_teacher(Path(config.teacher.checkpoint), architecture)
    networks = build_student_teacher(architecture, config.head, seed, teacher)
    if config.micro_batches > 1 and has_batch_norm(networks.student):
        raise ConfigurationError(
            f"pretrain.micro_batches: expected 1 for {architecture.timm_name}, whose BatchNorm "
            f"looks at the whole batch, got {config.micro_batches}"
        )
    if config.initial is not None:
        path = Path(config.initial)
        checkpoint = load_reference_checkpoint(path)
        _load(networks.student, checkpoint.student or checkpoint.teacher, path)
        if teacher is None:
            _load(networks.teacher, checkpoint.teacher, path)
            # that of the scores of a head, which has to be there
            center_value = checkpoint.center if checkpoint.teacher.head else None
    networks.to(device)
    if world_size() > 1:
        synchronise_batch_norm(networks.student)
        if teacher is None:
            synchronise_batch_norm(networks.teacher)
    center = Center(config.head.out_dim, config.loss.center_momentum).to(device)
    if center_value is not None:
        if center_value.shape != center.value.shape:
            raise CheckpointError(
                f"pretrain.initial or teacher.checkpoint: expected a center of shape "
                f"{tuple(center.value.shape)}, as pretrain.head.out_dim says, got "
                f"{tuple(center_value.shape)}"
            )
        center.value.copy_(center_value)
    return networks, center


def fixed_teacher(
    path: Path, architecture: ArchitectureConfig
) -> tuple[MultiCropNetwork, Tensor | None]:
    """The teacher in a training checkpoint, and the center of its scores.

    A checkpoint of the reference names its architecture by its arguments; one whose name timm does
    not know has to be of the run's own `architecture`.
    """
    checkpoint = load_reference_checkpoint(path)
    head = head_of(checkpoint.teacher)
    if head is None:
        raise CheckpointError(
            f"{path}: expected a teacher with a head, whose prototypes the student learns, got a "
            "backbone alone; as pretrain.initial it can be used"
        )
    with seeded(0):
        network = build_teacher(architecture_of(checkpoint, path) or architecture, head)
    _load(network, checkpoint.teacher, path)
    return network, checkpoint.center


def head_of(network: ReferenceNetwork) -> HeadConfig | None:
    """The shape of a head, read from its weights; None if there is no such head."""
    prototypes = network.head.get("last_layer.weight_v")
    linear = [
        weight
        for name, weight in network.head.items()
        if name.startswith("mlp") and weight.ndim == 2
    ]
    if prototypes is None or not linear:
        return None
    return HeadConfig(
        out_dim=prototypes.shape[0],
        bottleneck_dim=prototypes.shape[1],
        layers=len(linear),
        hidden_dim=len(linear[0]),
        batch_norm=any(name.endswith("running_mean") for name in network.head),
    )


def _load(network: MultiCropNetwork, weights: ReferenceNetwork, path: Path) -> None:
    _load_part(network.backbone, weights.backbone, f"{path}: the backbone", "architecture")
    if weights.head:
        _load_part(network.head, weights.head, f"{path}: the head", "pretrain.head")


def _load_part(module: nn.Module, weights: dict[str, Tensor], what: str, section: str) -> None:
    try:
        module.load_state_dict(without_classifier(weights, module))
    except RuntimeError as error:
        # the first line only says that there was an error
        reason = " ".join(str(error).splitlines()[1].split())[:200]
        raise CheckpointError(
            f"{what} does not fit the run's {section} ({reason}); make params.yaml say what the "
            "file was trained with"
        ) from None
