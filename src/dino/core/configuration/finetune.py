"""Fine-tuning of a whole network on labelled images."""

import re
from typing import ClassVar, Literal, Self

from pydantic import model_validator

from dino.core.configuration.number import (
    LearningRate,
    NonNegativeFloat,
    PositiveInt,
    PositiveShare,
    Probability,
    Seed,
    ShareBelowOne,
    SidePx,
)
from dino.core.configuration.section import section
from dino.core.errors import ConfigurationError

_POLICY = re.compile(r"(rand|augmix|original|originalr|v0|v0r|3a)(-[\w.]+)*")


@section
class FinetuneConfig:
    """AdamW with layer decay on the usual augmentation.

    The defaults are the recipe that MAE was published with for ViT-B (He et al. 2021, and
    FINETUNE.md of facebookresearch/mae): DeiT's augmentation (Touvron et al. 2021), which the DINO
    paper fine-tunes with too, and BEiT's layer decay.
    """

    needs_labels: ClassVar[bool] = True
    enabled: bool = True
    """False: not computed, which the result then says."""
    max_train_images: PositiveInt | None = None
    """Labelled training images, in the proportions of their classes; null: all."""
    epochs: PositiveInt = 100
    batch_size: PositiveInt = 1024
    """Images in one step; an epoch's incomplete last batch is left out."""
    learning_rate: LearningRate = 5e-4
    """The classifier's rate for a batch of 256 images; scaled linearly with the batch."""
    min_learning_rate: NonNegativeFloat = 1e-6
    """The end of the cosine; not scaled with the batch."""
    validate_every_epochs: PositiveInt = 1
    """The epochs between two measurements on val; there is always one after the last epoch."""
    warmup_epochs: NonNegativeFloat = 5.0
    weight_decay: NonNegativeFloat = 0.05
    """The weight decay of parameters with two dimensions or more; the others have none."""
    layer_decay: PositiveShare = 0.65
    """The factor between the learning rates of a layer and of the layer above it."""
    scratch_layer_decay: PositiveShare = 1.0
    """The same factor for the network with random weights, whose first layers have to learn."""
    drop_path: ShareBelowOne = 0.1
    """Stochastic depth of the last block; it rises linearly with depth."""
    label_smoothing: ShareBelowOne = 0.1
    mixup: NonNegativeFloat = 0.8
    """Both parameters of the beta distribution of mixup's shares; 0: no mixup."""
    cutmix: NonNegativeFloat = 1.0
    """Both parameters of CutMix's beta distribution; where both are on, a batch draws one."""
    resize_px: SidePx = 256
    """Short side that an image of val or test is resized to (bicubic)."""
    crop_px: SidePx = 224
    """Side of the square that the network sees, in training and after."""
    crop_scale: tuple[PositiveShare, PositiveShare] = (0.08, 1.0)
    """Share of the area of a random resized crop."""
    flip_probability: Probability = 0.5
    auto_augment: str | None = "rand-m9-mstd0.5-inc1"
    """A policy of timm: RandAugment of magnitude 9; null: none."""
    erase_probability: Probability = 0.25
    """The probability that noise replaces the pixels of a random rectangle."""
    precision: Literal["auto", "float32", "bf16"] = "auto"
    """auto: bf16 where the processor computes it faster than float32, else float32."""
    seed: Seed = 0
    """Seed of the subset, the classifier's weights, the order and the augmentation."""

    def check_images(self, labelled: int) -> None:
        """Raise `ConfigurationError` unless `labelled` training images fill a batch."""
        images = min(labelled, self.max_train_images or labelled)
        if images < self.batch_size:
            raise ConfigurationError(
                f"finetune.batch_size: expected at most the {images} labelled images, got "
                f"{self.batch_size}"
            )

    @model_validator(mode="after")
    def _values_fit(self) -> Self:
        if self.crop_px > self.resize_px:
            raise ValueError(
                f"expected crop_px of at most resize_px {self.resize_px}, got {self.crop_px}"
            )
        if self.warmup_epochs > self.epochs:
            raise ValueError(
                f"expected warmup_epochs of at most epochs {self.epochs}, got {self.warmup_epochs}"
            )
        if self.crop_scale[0] > self.crop_scale[1]:
            raise ValueError(f"expected crop_scale as [least, most], got {list(self.crop_scale)}")
        if self.auto_augment is not None and not _POLICY.fullmatch(self.auto_augment):
            raise ValueError(
                "expected auto_augment such as rand-m9-mstd0.5-inc1 or null, got "
                f"{self.auto_augment}"
            )
        if self.batch_size % 2 and (self.mixup or self.cutmix):
            raise ValueError(
                "expected an even batch_size, since mixup and CutMix pair its images, got "
                f"{self.batch_size}"
            )
        return self
