"""How long the trainings of params.yaml will take here: some real steps on made-up images."""

import dataclasses
import os
import time
from collections.abc import Iterator

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from dino.core.configuration.architecture import ArchitectureConfig
from dino.core.configuration.parameters import Parameters
from dino.core.configuration.pretrain import PretrainConfig
from dino.core.distributed import cores
from dino.core.errors import DataError
from dino.core.paths import Project
from dino.core.precision import best_device, resolve_precision
from dino.data.crops import GLOBAL_CROPS, MultiCrop
from dino.data.dataset import DESCRIPTION, PreparedDataset
from dino.model.student_teacher import feature_dim
from dino.optim.parameter_groups import build_optimizer
from dino.training.schedules import Schedules
from dino.training.starting_point import starting_point
from dino.training.step import Stepper, shards_for

STEP_SECONDS, CROP_SECONDS = 4.0, 0.5
"""The time of a trial for each architecture and variant, without building its networks."""
_FIRST_IMAGES = 8
_STATE_BYTES = 16
"""The bytes in a checkpoint for each parameter: student, teacher and AdamW's means, float32."""
_FEATURE_SETS = 2
"""The sets of features: the teacher's, and those of the network before its first step."""
_BUSY_SHARE = 0.25
_PUBLISHED = {
    "fashion_mnist": (60_000, 28),
    "digits": (1_437, 8),
    "cifar10": (50_000, 32),
    "cifar100": (50_000, 32),
    "stl10": (105_000, 96),
}
"""The number of training images, labelled or not, and their side in pixels."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trial:
    """The cost of one image in training, and of a checkpoint on the disk."""

    step_seconds: float
    """The time of the networks for one image, on all cores or the GPU."""
    crop_seconds: float
    """The time to make the crops of one image, on one core."""
    checkpoint_bytes: int
    feature_dim: int

    def seconds(self, images: int) -> float:
        """The time for `images`; crops and networks share the cores, unless there is a GPU."""
        crops = self.crop_seconds / cores()
        if torch.cuda.is_available():
            return images * max(self.step_seconds, 2 * crops)
        return images * (self.step_seconds + crops)


def estimates(parameters: Parameters, images: int, size_px: int) -> Iterator[tuple[str, str]]:
    """Pairs of label and text: time and disk of the trainings, and what slows them down.

    `images` of `size_px` are trained on. Architectures with weights are not trained, nor runs whose
    batch has more images than there are.
    """
    trials: dict[tuple[str, str], Trial] = {}
    total = disk = 0.0
    for run in parameters.all_runs():
        architecture = parameters.architectures[run.architecture]
        config = parameters.pretrain_of(run)
        seen = config.epochs * (images // config.batch_size * config.batch_size)
        # too few images for one batch: refused before anything runs
        if architecture.weights is not None or not seen:
            continue
        key = (run.architecture, run.variant)
        if key not in trials:
            trials[key] = trial(architecture, config, size_px)
            seconds = trials[key].seconds(seen)
            yield (
                "-".join(key),
                f"{_duration(seconds)} a run: {seen} images, {seen / seconds:.0f}/s",
            )
        total += trials[key].seconds(seen)
        kept = config.checkpoints.keep + 1
        if every := config.checkpoints.milestone_epochs:
            kept += config.epochs // every
        disk += trials[key].checkpoint_bytes * kept
        tokens = parameters.features.last_blocks + 1
        disk += _FEATURE_SETS * 4 * images * tokens * trials[key].feature_dim
    if trials:
        yield (
            "pretrain",
            f"about {_duration(total)} for {len(parameters.all_runs())} runs one after the other "
            "on a machine that does nothing else: estimated from some seconds of real steps; "
            "evaluations come on top",
        )
        yield "disk", f"about {disk / 2**30:.1f} GiB for checkpoints and features, without images"
    yield from _slow_ways(parameters)


def training_images(parameters: Parameters, project: Project) -> tuple[int, int]:
    """The number of training images, and about their side in pixels.

    Those that are prepared; before that as many as the source has, where it is known. Raises
    `DataError` where it is not.
    """
    folder = project.data(parameters.trained_on)
    config = parameters.datasets[parameters.trained_on]
    if (folder / DESCRIPTION).is_file():
        dataset = PreparedDataset.open(folder)
        indices = dataset.indices("train")
        return len(indices), max(dataset.image(int(indices[0])).size)
    if config.source not in _PUBLISHED:
        raise DataError("how long a training takes is known once `dino prepare` has run")
    images, size_px = _PUBLISHED[config.source]
    images -= config.val_images
    return min(images, config.max_train_images or images), size_px


def trial(architecture: ArchitectureConfig, config: PretrainConfig, size_px: int) -> Trial:
    """Train for some steps, with as many images in a batch as the time allows."""
    threads = torch.get_num_threads()
    torch.set_num_threads(cores())
    try:
        return _trial(architecture, config, size_px)
    finally:
        torch.set_num_threads(threads)


def _trial(architecture: ArchitectureConfig, config: PretrainConfig, size_px: int) -> Trial:
    device = best_device()
    config = dataclasses.replace(config, micro_batches=1)
    networks, center = starting_point(architecture, config, 0, device)
    optimizer = build_optimizer(networks.student, config.optimizer)
    precision = resolve_precision(config.precision, device)
    shards = shards_for(networks.student, device, config)
    stepper = Stepper(networks, center, optimizer, config, precision, shards=shards)
    values = Schedules(config, 1).at(0)

    def seconds(images: int) -> float:
        crops = _made_up_crops(config, images, device)
        started, worked = time.perf_counter(), time.process_time()
        stepper.step(crops, 0, values).loss.item()
        if device.type == "cuda":
            return time.perf_counter() - started
        # what the cores worked: the time that it takes where nothing else keeps them busy
        return (time.process_time() - worked) / cores()

    began = time.perf_counter()
    few = many = min(_FIRST_IMAGES, config.batch_size)
    seconds(few)  # the first one prepares kernels and memory
    of_few = of_many = seconds(few)
    while (
        many < config.batch_size
        and 2 * of_many < STEP_SECONDS / 4
        and (time.perf_counter() - began < STEP_SECONDS)
    ):
        many = min(2 * many, config.batch_size)
        seconds(many)
        of_many = seconds(many)
    times = [of_many]
    while time.perf_counter() - began < STEP_SECONDS:
        times.append(seconds(many))
    of_many = float(np.median(times))
    # a part of a step's time is the same for any batch: the optimizer's and the teacher's
    each = (of_many - of_few) / (many - few) if many > few else of_many / many
    each = min(max(each, 0.0), of_many / many)
    parameters = sum(p.numel() for p in networks.student.parameters())
    return Trial(
        step_seconds=(of_many + each * (config.batch_size - many)) / config.batch_size,
        crop_seconds=_crop_seconds(config, size_px),
        checkpoint_bytes=_STATE_BYTES * parameters,
        feature_dim=feature_dim(networks.student.backbone),
    )


def _made_up_crops(config: PretrainConfig, images: int, device: torch.device) -> list[Tensor]:
    sides_px = [config.crops.global_size_px] * GLOBAL_CROPS
    sides_px += [config.crops.local_size_px] * config.crops.local_crops
    shapes = [(images, 3, side_px, side_px) for side_px in sides_px]
    return [torch.randint(256, shape, dtype=torch.uint8, device=device) for shape in shapes]


def _crop_seconds(config: PretrainConfig, size_px: int) -> float:
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (size_px, size_px, 3), np.uint8))
    multi_crop = MultiCrop(config.crops)
    multi_crop(image, rng)
    began, worked, done = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - began < CROP_SECONDS:
        multi_crop(image, rng)
        done += 1
    return (time.process_time() - worked) / done


def _slow_ways(parameters: Parameters) -> Iterator[tuple[str, str]]:
    """Texts about settings that use this machine's cores poorly."""
    usable = cores()
    threads = os.environ.get("OMP_NUM_THREADS", "")
    if threads.isdecimal() and int(threads) < usable:
        yield "threads", f"OMP_NUM_THREADS={threads} on {usable} cores; unset it"
    load = os.getloadavg()[0]
    if load > _BUSY_SHARE * usable:
        yield (
            "load",
            f"{load:.1f} processes wait for {usable} cores; trainings take longer while they do",
        )
    device = best_device()
    if parameters.pretrain.precision == "bf16" and resolve_precision("auto", device) != "bf16":
        yield "precision", f"bf16 is slow on this {device.type}; precision: auto takes float32"
    if "DINO_PROCESSES" in os.environ and not torch.cuda.is_available():
        yield "processes", "DINO_PROCESSES divides the cores; one process uses all of them as well"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    if seconds < 90 * 60:
        return f"{seconds / 60:.1f} minutes"
    return f"{seconds / 3600:.1f} hours" if seconds < 48 * 3600 else f"{seconds / 86400:.1f} days"
