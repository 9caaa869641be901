"""DINO pretraining: crops, head, loss, optimizer and schedules. Defaults are the reference's."""

from typing import Annotated, Literal, Self

from pydantic import Field, Strict, model_validator

from dino.core.configuration.number import (
    Depth,
    LearningRate,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Probability,
    SidePx,
    Temperature,
    Width,
)
from dino.core.configuration.section import section
from dino.core.errors import ConfigurationError

Range = tuple[PositiveFloat, PositiveFloat]


@section
class CropsConfig:
    """Multi-crop augmentation: two global crops and several local ones of each image."""

    global_size_px: SidePx = 224
    local_size_px: SidePx = 96
    local_crops: Annotated[int, Strict(), Field(ge=0, le=256)] = 8
    global_scale: Range = (0.4, 1.0)
    """Smallest and largest share of the image's area that a global crop covers."""
    local_scale: Range = (0.05, 0.4)
    flip_probability: Probability = 0.5
    jitter_probability: Probability = 0.8
    brightness: NonNegativeFloat = 0.4
    contrast: NonNegativeFloat = 0.4
    saturation: NonNegativeFloat = 0.2
    hue: Annotated[float, Strict(), Field(ge=0, le=0.5)] = 0.1
    grey_probability: Probability = 0.2
    blur_radius_px: Range = (0.1, 2.0)
    """Smallest and largest radius of the Gaussian blur."""
    blur_probability: tuple[Probability, Probability, Probability] = (1.0, 0.1, 0.5)
    """The probabilities for the first global crop, the second, and each local crop."""
    solarize_probability: Probability = 0.2
    """The probability for the second global crop; the others have none. The threshold is 128."""

    @model_validator(mode="after")
    def _ranges_ordered(self) -> Self:
        for name in ("global_scale", "local_scale", "blur_radius_px"):
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(f"expected {name} as [smallest, largest], got [{low}, {high}]")
        for name in ("global_scale", "local_scale"):
            if getattr(self, name)[1] > 1:
                raise ValueError(f"expected {name} within (0, 1], got {list(getattr(self, name))}")
        return self


@section
class HeadConfig:
    """Projection head: an MLP to an L2-normalised bottleneck, then weight-normalised prototypes."""

    out_dim: Annotated[int, Strict(), Field(ge=2, le=2**24)] = 65536
    """Number of prototypes K."""
    hidden_dim: Width = 2048
    bottleneck_dim: Width = 256
    layers: Depth = 3
    batch_norm: bool = False
    predictor: bool = False
    """Whether the student has a further two-layer MLP between bottleneck and L2 normalisation, as
    in BYOL (paper: table 7).
    """
    norm_last_layer: bool = True
    """Keep the prototypes of the student at unit length."""


@section
class LossConfig:
    """Cross-entropy between centred, sharpened teacher and student distributions."""

    name: Literal["cross_entropy", "mse"] = "cross_entropy"
    """mse: squared distance between the L2-normalised scores, as in BYOL (paper: table 7)."""
    centering: Literal["mean", "sinkhorn_knopp", "softmax", "none"] = "mean"
    """What keeps the teacher's distributions apart: the moving mean of its scores, or a
    normalisation over the batch, of three iterations or of one (paper: table 8 and appendix D).
    """
    student_temperature: Temperature = 0.1
    teacher_temperature: Temperature = 0.04
    warmup_teacher_temperature: Temperature = 0.04
    warmup_teacher_temperature_epochs: NonNegativeInt = 0
    center_momentum: Probability = 0.9


@section
class OptimizerConfig:
    """Optimizer and the schedules of its learning rate and weight decay."""

    name: Literal["adamw", "sgd", "lars"] = "adamw"
    learning_rate: LearningRate = 5e-4
    """The peak rate for a batch of 256 images; scaled linearly with the global batch."""
    min_learning_rate: NonNegativeFloat = 1e-6
    """The end of the cosine; not scaled with the batch."""
    warmup_epochs: NonNegativeFloat = 10.0
    weight_decay: NonNegativeFloat = 0.04
    final_weight_decay: NonNegativeFloat = 0.4
    clip_norm: NonNegativeFloat = 3.0
    """Largest gradient norm of each parameter tensor on its own; 0 leaves gradients alone."""
    freeze_last_layer_epochs: NonNegativeInt = 1


@section
class TeacherConfig:
    """How the teacher follows the student (paper: section 5.2)."""

    kind: Literal["momentum", "student_copy", "previous_iteration", "previous_epoch", "fixed"] = (
        "momentum"
    )
    """student_copy: the student of the same step; previous_iteration and previous_epoch: the
    student one step or epoch ago; fixed: a trained network, as in classical distillation.
    """
    momentum: Probability = 0.996
    """The momentum at the start; it rises to 1 by a cosine."""
    checkpoint: str | None = None
    """With kind fixed: the training checkpoint, of this project or of the reference, whose teacher
    (backbone and head) is used.
    """

    @model_validator(mode="after")
    def _checkpoint_fits_kind(self) -> Self:
        if (self.kind == "fixed") != (self.checkpoint is not None):
            raise ValueError(
                "expected a checkpoint for kind fixed and none for the others, got "
                f"kind {self.kind} with checkpoint {self.checkpoint}"
            )
        return self


@section
class CheckpointsConfig:
    """The checkpoints from which an interrupted training continues; they change no result."""

    minutes: PositiveFloat = 2.0
    """The time between two checkpoints, which is the most that is lost when a machine dies."""
    keep: Annotated[int, Strict(), Field(ge=2, le=1000)] = 2
    """The number of newest checkpoints that are kept; if one is damaged, the one before is used."""
    milestone_epochs: NonNegativeInt = 0
    """The number of epochs after which a checkpoint is kept for good; 0: none is."""


@section
class MonitorConfig:
    """What counts as a collapse and what is done about it."""

    on_collapse: Literal["warn", "stop", "ignore"] = "warn"
    after_epochs: NonNegativeFloat = 1.0
    """The epochs without a judgement: every training starts near the uniform distribution."""
    patience_steps: PositiveInt = 200
    """The number of steps for which a collapse must show before anything is done."""
    uniform_entropy: Probability = 0.98
    """The share of ln K above which the teacher's mean entropy counts as uniform."""
    prototype_share: Probability = 0.9
    """The mean probability of the largest prototype above which one prototype counts as winning."""


@section
class PretrainConfig:
    """DINO pretraining."""

    dataset: str | None = None
    """The data set trained on, a name in `datasets`; null: the only one."""
    epochs: PositiveInt = 100
    batch_size: PositiveInt = 512
    """Images in one optimizer step over all devices (the reference: 8 GPUs of 64)."""
    micro_batches: PositiveInt = 1
    """Parts in which each device computes its share of a batch, one after the other, to save
    memory; the step is the same as with one.
    """
    precision: Literal["auto", "float32", "bf16", "fp16"] = "auto"
    """auto: bf16 where the processor computes it faster than float32, else float32. fp16 scales
    the loss and skips the steps that overflow.
    """
    initial: str | None = None
    """Weights to start from: a training checkpoint of this project or of the reference, or the
    reference's file with a backbone alone. None: random weights.
    """
    online_knn_every_epochs: NonNegativeInt = 1
    """How often the teacher is scored by k-NN on val while it trains; 0: never."""
    online_knn_bank: PositiveInt = 10000
    """Number of training images among which the online k-NN looks for neighbours."""
    teacher: TeacherConfig = Field(default_factory=TeacherConfig)
    checkpoints: CheckpointsConfig = Field(default_factory=CheckpointsConfig)
    monitor: MonitorConfig = Field(default_factory=MonitorConfig)
    crops: CropsConfig = Field(default_factory=CropsConfig)
    head: HeadConfig = Field(default_factory=HeadConfig)
    loss: LossConfig = Field(default_factory=LossConfig)
    optimizer: OptimizerConfig = Field(default_factory=OptimizerConfig)

    def check_batch(self, images: int, processes: int) -> None:
        """Raise `ConfigurationError` unless so many training images and processes make a batch."""
        if self.batch_size > images:
            raise ConfigurationError(
                f"pretrain.batch_size: expected at most the {images} training images, got "
                f"{self.batch_size}"
            )
        if self.batch_size % processes:
            raise ConfigurationError(
                f"pretrain.batch_size: expected a multiple of the {processes} processes, got "
                f"{self.batch_size}"
            )

    @model_validator(mode="after")
    def _micro_batches_fit(self) -> Self:
        if self.batch_size % self.micro_batches:
            raise ValueError(
                f"expected batch_size to be a multiple of micro_batches {self.micro_batches}, "
                f"got {self.batch_size}"
            )
        meeting = [
            name
            for name, meets in (
                ("head.batch_norm: true", self.head.batch_norm),
                ("loss.centering: sinkhorn_knopp", self.loss.centering == "sinkhorn_knopp"),
                ("loss.centering: softmax", self.loss.centering == "softmax"),
            )
            if meets
        ]
        if self.micro_batches > 1 and meeting:
            raise ValueError(
                f"expected micro_batches 1 with {meeting[0]}, which looks at the whole batch, "
                f"got {self.micro_batches}"
            )
        return self

    @model_validator(mode="after")
    def _warmups_fit(self) -> Self:
        for name, warmup_epochs in (
            ("optimizer.warmup_epochs", self.optimizer.warmup_epochs),
            (
                "loss.warmup_teacher_temperature_epochs",
                self.loss.warmup_teacher_temperature_epochs,
            ),
        ):
            if warmup_epochs > self.epochs:
                raise ValueError(
                    f"expected {name} of at most {self.epochs} (epochs), got {warmup_epochs}"
                )
        return self
