"""DINO pretraining: crops, head, loss, optimizer and schedules. Defaults are the reference's."""

from typing import Annotated, Literal, Self

from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from dino.core.configuration.section import section

Probability = Annotated[float, Field(ge=0, le=1)]
Momentum = Annotated[float, Field(ge=0, le=1)]
Range = tuple[PositiveFloat, PositiveFloat]


@section
class CropsConfig:
    """Multi-crop augmentation: two global crops and several local ones of each image."""

    global_size_px: PositiveInt = 224
    local_size_px: PositiveInt = 96
    local_crops: NonNegativeInt = 8
    global_scale: Range = (0.4, 1.0)
    """Smallest and largest share of the image's area that a global crop covers."""
    local_scale: Range = (0.05, 0.4)
    flip_probability: Probability = 0.5
    jitter_probability: Probability = 0.8
    brightness: NonNegativeFloat = 0.4
    contrast: NonNegativeFloat = 0.4
    saturation: NonNegativeFloat = 0.2
    hue: Annotated[float, Field(ge=0, le=0.5)] = 0.1
    grey_probability: Probability = 0.2
    blur_radius_px: Range = (0.1, 2.0)
    """Smallest and largest radius of the Gaussian blur."""
    blur_probability: tuple[Probability, Probability, Probability] = (1.0, 0.1, 0.5)
    """For the first global crop, the second, and each local crop."""
    solarize_probability: Probability = 0.2
    """For the second global crop alone; the threshold is 128."""

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

    out_dim: PositiveInt = 65536
    """Number of prototypes K."""
    hidden_dim: PositiveInt = 2048
    bottleneck_dim: PositiveInt = 256
    layers: PositiveInt = 3
    batch_norm: bool = False
    norm_last_layer: bool = True
    """Keep the prototypes of the student at unit length."""


@section
class LossConfig:
    """Cross-entropy between centred, sharpened teacher and student distributions."""

    student_temperature: PositiveFloat = 0.1
    teacher_temperature: PositiveFloat = 0.04
    warmup_teacher_temperature: PositiveFloat = 0.04
    warmup_teacher_temperature_epochs: NonNegativeInt = 0
    center_momentum: Momentum = 0.9


@section
class OptimizerConfig:
    """Optimizer and the schedules of its learning rate and weight decay."""

    name: Literal["adamw", "sgd", "lars"] = "adamw"
    learning_rate: PositiveFloat = 5e-4
    """For a batch of 256 images; scaled linearly with the global batch."""
    min_learning_rate: NonNegativeFloat = 1e-6
    """Not scaled with the batch."""
    warmup_epochs: NonNegativeFloat = 10
    weight_decay: NonNegativeFloat = 0.04
    final_weight_decay: NonNegativeFloat = 0.4
    clip_norm: NonNegativeFloat = 3.0
    """Largest gradient norm of each parameter tensor on its own; 0 leaves gradients alone."""
    freeze_last_layer_epochs: NonNegativeInt = 1


@section
class PretrainConfig:
    """DINO pretraining."""

    epochs: PositiveInt = 100
    batch_size: PositiveInt = 512
    """Images in one optimizer step over all devices (the reference: 8 GPUs of 64)."""
    precision: Literal["auto", "float32", "bf16"] = "auto"
    """auto: bf16 where the processor computes it faster than float32, else float32."""
    teacher_momentum: Momentum = 0.996
    """At the start; rises to 1 by a cosine."""
    checkpoint_minutes: PositiveFloat = 2
    """Time between two checkpoints that an interrupted run can resume from."""
    online_knn_every_epochs: NonNegativeInt = 1
    """How often the teacher is scored by k-NN on val while it trains; 0: never."""
    online_knn_bank: PositiveInt = 10000
    """Number of training images among which the online k-NN looks for neighbours."""
    crops: CropsConfig = Field(default_factory=CropsConfig)
    head: HeadConfig = Field(default_factory=HeadConfig)
    loss: LossConfig = Field(default_factory=LossConfig)
    optimizer: OptimizerConfig = Field(default_factory=OptimizerConfig)

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
