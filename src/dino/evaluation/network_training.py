"""The supervised training of a whole network: a backbone and a linear classifier on top of it."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from timm.data import Mixup
from timm.data.mixup import mixup_target
from timm.optim import param_groups_layer_decay
from torch import Tensor, nn

from dino.core.configuration.finetune import FinetuneConfig
from dino.core.errors import ConfigurationError
from dino.core.precision import autocast, resolve_precision
from dino.core.seeding import Purpose, all_seeded, seeded
from dino.model.backbone import INIT_STD
from dino.model.drop_path import (
    DropPathKey,
    drop_path_factors,
    drop_probabilities,
    replace_drop_path,
)
from dino.optim.schedules import cosine_schedule, scaled_learning_rate


def add_classifier(backbone: nn.Module, classes: int, seed: int) -> nn.Module:
    """`backbone` with a new linear classifier on its features (for a transformer: [CLS]).

    A distilled transformer gets one for each of its two tokens, and gives the mean of what they
    say, as DeiT's is fine-tuned. Raises `ConfigurationError` for a network that ends otherwise.
    """
    backbone.reset_classifier(classes)  # type: ignore[operator]
    found = backbone.get_classifier()  # type: ignore[operator]
    with seeded(seed):
        for classifier in found if isinstance(found, tuple) else (found,):
            if not isinstance(classifier, nn.Linear):
                raise ConfigurationError(
                    f"finetune: expected a network that ends in a linear classifier, got "
                    f"{type(backbone).__name__} with {type(classifier).__name__}; set "
                    "finetune.enabled to false"
                )
            nn.init.trunc_normal_(classifier.weight, std=INIT_STD)
            nn.init.zeros_(classifier.bias)
    return backbone


class NetworkTraining:
    """AdamW with a learning rate for each layer; a line from 0, then a cosine per step."""

    def __init__(
        self,
        network: nn.Module,
        config: FinetuneConfig,
        *,
        layer_decay: float,
        steps_per_epoch: int,
        device: torch.device,
    ) -> None:
        """`network` ends in a classifier; positions and [CLS] are not decayed, as in DeiT."""
        replace_drop_path(network)
        self.network = network.to(device)
        self._device = device
        self._seed = config.seed
        self._precision = resolve_precision(config.precision, device)
        self._drop_probabilities = drop_probabilities(network)
        not_decayed: set[str] = getattr(network, "no_weight_decay", set)()
        groups = param_groups_layer_decay(
            network,
            weight_decay=config.weight_decay,
            no_weight_decay_list=not_decayed,
            layer_decay=layer_decay,
        )
        self.optimizer = torch.optim.AdamW(groups, lr=0.0, fused=True)
        self.learning_rates = cosine_schedule(
            scaled_learning_rate(config.learning_rate, config.batch_size),
            config.min_learning_rate,
            config.epochs * steps_per_epoch,
            round(config.warmup_epochs * steps_per_epoch),
        )

    def step(
        self,
        step: int,
        images: Float[Tensor, "batch 3 height width"],
        targets: Float[Tensor, "batch classes"],
        indices: Int64[Tensor, " batch"],
    ) -> Float[Tensor, ""]:
        """The batch's cross-entropy before the step, counted from 0, that it causes."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rates[step] * group["lr_scale"]
        key = DropPathKey(
            purpose=Purpose.FINETUNE_DROP_PATH, seed=self._seed, step=step, images=indices
        )
        with (
            autocast(self._precision, self._device),
            drop_path_factors(key, (0,), self._drop_probabilities, self._device),
        ):
            logits = self.network(images)
        loss = F.cross_entropy(logits.float(), targets)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    @torch.no_grad()
    def logits(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> Float[np.ndarray, "batch classes"]:
        """The network's logits in evaluation mode, in float32."""
        self.network.eval()
        with autocast(self._precision, self._device):
            logits = self.network(images)
        self.network.train()
        return logits.float().cpu().numpy()


class Mixing:
    """Mixup and CutMix of a batch with its own reverse, and smoothed targets."""

    def __init__(self, config: FinetuneConfig, classes: int) -> None:
        self._smoothing = config.label_smoothing
        self._classes = classes
        self._seed = config.seed
        self._mixup: Any = None
        if config.mixup or config.cutmix:
            self._mixup = Mixup(
                mixup_alpha=config.mixup,
                cutmix_alpha=config.cutmix,
                label_smoothing=config.label_smoothing,
                num_classes=classes,
            )

    def __call__(
        self,
        step: int,
        images: Float[Tensor, "batch 3 height width"],
        labels: Int64[Tensor, " batch"],
    ) -> tuple[Float[Tensor, "batch 3 height width"], Float[Tensor, "batch classes"]]:
        """The mixed images, which may take the place of `images`, and each one's distribution.

        What chance decides depends on (seed, step).
        """
        if self._mixup is None:
            return images, mixup_target(labels, self._classes, smoothing=self._smoothing)
        with all_seeded(Purpose.FINETUNE_MIXING, self._seed, step):
            mixed: tuple[Tensor, Tensor] = self._mixup(images, labels)
        return mixed
