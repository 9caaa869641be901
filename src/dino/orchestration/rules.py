"""The reasons for which each stage would refuse, asked for before anything runs."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from safetensors import SafetensorError, safe_open

from dino.core.artifacts import read_json
from dino.core.checksums import ensure_as_made, ensure_same_network
from dino.core.configuration.class_map import superclass_of
from dino.core.errors import CheckpointError, DinoError
from dino.core.paths import MODELS
from dino.data.dataset import Split, check_labelled
from dino.orchestration.situation import Planned, Situation

if TYPE_CHECKING:
    from dino.core.configuration.architecture import ArchitectureConfig
    from dino.core.configuration.parameters import Run

Rule = Callable[[Situation, Planned], None]
"""A check, which raises `DinoError` for a stage that would refuse."""

GIB = 2**30
_STATES = 4
"""The numbers in a checkpoint for each parameter: student, teacher, and AdamW's two means."""
WEIGHTS = "model.safetensors"


def _space_for_the_images(situation: Situation, step: Planned) -> None:
    images = situation.images[step.dataset]
    if images is None:
        return
    # the parts that an interrupted preparation continues from, and the whole
    ensure_space(situation.project.root, 2 * images.stored_bytes, "prepare")


def ensure_space(folder: Path, needed_bytes: int, stage: str) -> None:
    """Raise `DinoError` when the disk of `folder` has less than `needed_bytes` left."""
    free = shutil.disk_usage(folder).free
    if needed_bytes > free:
        raise DinoError(
            f"{stage}: needs about {needed_bytes / GIB:.1f} GiB below {folder}, whose disk has "
            f"{free / GIB:.1f} GiB left; free some, or make the project where there is more"
        )


def _space_for_checkpoints(situation: Situation, step: Planned) -> None:
    run = _run(step)
    architecture, config = _architecture(situation, run), situation.parameters.pretrain_of(run)
    if architecture.weights is not None:
        return
    head = config.head
    numbers = head.bottleneck_dim * (head.out_dim + head.hidden_dim)
    numbers += max(0, head.layers - 2) * head.hidden_dim**2
    # attention and MLP of each block; where the name alone sizes the network it counts as none
    numbers += 12 * (architecture.depth or 0) * (architecture.embed_dim or 0) ** 2
    files = config.checkpoints.keep + 2  # one more while it is written, and the last
    ensure_space(situation.project.root, files * _STATES * 4 * numbers, "pretrain")


def _a_batch_of_images(situation: Situation, step: Planned) -> None:
    run = _run(step)
    images = situation.images[step.dataset]
    if images is None or _architecture(situation, run).weights is not None:
        return
    number = len(images.labels["train"])
    situation.parameters.pretrain_of(run).check_batch(number, situation.processes)


def _weights_to_start_from(situation: Situation, step: Planned) -> None:
    run = _run(step)
    weights, config = _architecture(situation, run).weights, situation.parameters.pretrain_of(run)
    if weights is None:
        for key, name in (
            ("pretrain.initial", config.initial),
            ("pretrain.teacher.checkpoint", config.teacher.checkpoint),
        ):
            if name is not None:
                _ensure_file(situation.project.root / name, key)
        return
    key, path = f"architectures.{run.architecture}.weights", None
    if weights.file is not None:
        path = situation.project.root / weights.file
        _ensure_file(path, f"{key}.file")
    elif weights.folder is not None:
        folder = situation.project.root / weights.folder
        if not folder.is_dir():
            raise CheckpointError(f"{key}.folder: {folder} not found; correct it in params.yaml")
        path = folder / WEIGHTS
    if path is not None and path.is_file() and weights.sha256 is not None:
        weights.check_sha256(situation.checksum(path))


def _ensure_file(path: Path, key: str) -> None:
    if not path.is_file():
        raise CheckpointError(f"{key}: {path} not found; correct it in params.yaml")
    try:
        path.open("rb").close()
    except OSError as error:
        raise CheckpointError(f"{key}: {path} cannot be read ({error.strerror})") from None


def _the_checkpoint_of_pretrain(situation: Situation, step: Planned) -> None:
    run = _run(step)
    paths = situation.project.run(run.name)
    if situation.makes("pretrain", run) or not paths.checkpoint.is_file():
        return
    made = _noted(paths.provenance("pretrain"), "checkpoint")
    if made is not None:
        found = situation.checksum(paths.checkpoint)
        ensure_as_made(paths.checkpoint, made, found, "pretrain")


def _the_networks_of_export(situation: Situation, step: Planned) -> None:
    run = _run(step)
    paths = situation.project.run(run.name)
    if situation.makes("export", run):
        return
    for model, made in (_noted(paths.provenance("export"), "models") or {}).items():
        path = paths.model(model) / WEIGHTS
        if path.is_file():
            ensure_as_made(path, made, situation.checksum(path), "export")


def _noted(record: Path, key: str) -> Any:
    """The value of `key` in a stage's provenance; None if there is none, or an older one."""
    return read_json(record).get(key) if record.is_file() else None


def _features_of_these_networks(situation: Situation, step: Planned) -> None:
    run = _run(step)
    if situation.makes("features", run):
        return
    paths = situation.project.run(run.name)
    for model in MODELS:
        weights, features = paths.model(model) / WEIGHTS, paths.features(model)
        if not weights.is_file() or not features.is_file():
            continue
        try:
            with safe_open(features, framework="np") as file:
                made_by = (file.metadata() or {}).get("model")
        except (SafetensorError, OSError):
            continue  # its stage says that, and what to do
        if made_by is not None:
            ensure_same_network(features, made_by, situation.checksum(weights))


def _a_label_of_each_image(situation: Situation, step: Planned) -> None:
    images = situation.images[step.dataset]
    if images is not None and images.classes:
        for split in get_args(Split):
            check_labelled(split, images.labels[split])


def _superclasses_of_its_classes(situation: Situation, step: Planned) -> None:
    images, parameters = situation.images[step.dataset], situation.parameters
    if images is not None and images.classes and parameters.enabled("class_map"):
        superclass_of(images.classes, parameters.class_map.superclasses)


def _a_batch_of_labels(situation: Situation, step: Planned) -> None:
    images = situation.images[step.dataset]
    if images is not None and images.classes:
        situation.parameters.finetune.check_images(images.labelled)


def _run(step: Planned) -> "Run":
    assert step.run is not None, step.stage
    return step.run


def _architecture(situation: Situation, run: "Run") -> "ArchitectureConfig":
    return situation.parameters.architectures[run.architecture]


_OF_FEATURES: tuple[Rule, ...] = (_a_label_of_each_image, _features_of_these_networks)
RULES: dict[str, tuple[Rule, ...]] = {
    "prepare": (_space_for_the_images,),
    "pretrain": (_weights_to_start_from, _a_batch_of_images, _space_for_checkpoints),
    "export": (_the_checkpoint_of_pretrain,),
    "features": (_the_networks_of_export,),
    "knn": _OF_FEATURES,
    "linear": _OF_FEATURES,
    "low_shot": _OF_FEATURES,
    "linear_paper": (*_OF_FEATURES, _the_networks_of_export),
    "class_map": (_superclasses_of_its_classes, _features_of_these_networks),
    "robustness": (*_OF_FEATURES, _the_networks_of_export),
    "finetune": (_a_label_of_each_image, _a_batch_of_labels, _the_networks_of_export),
    "attention": (_the_networks_of_export,),
    "card": (_features_of_these_networks,),
    "silhouette": _OF_FEATURES,
    "baselines": (_a_label_of_each_image, _superclasses_of_its_classes),
}
"""The rules by stage, in an order in which the stages can be executed."""
TRUNK = ("prepare", "pretrain", "export", "features")
"""The stages on whose outputs others build."""
