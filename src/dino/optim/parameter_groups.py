"""The parameters with and without weight decay, and the optimizer over them."""

import torch
from torch import nn

from dino.core.configuration.pretrain import OptimizerConfig
from dino.optim.lars import Lars

SGD_MOMENTUM = 0.9


def decayed_and_not(network: nn.Module) -> tuple[dict[str, nn.Parameter], dict[str, nn.Parameter]]:
    """The trainable parameters by name: those with weight decay, then those without.

    Biases and everything one-dimensional have none; positional embedding and [CLS] have it.
    """
    decayed: dict[str, nn.Parameter] = {}
    not_decayed: dict[str, nn.Parameter] = {}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            group = not_decayed if name.endswith(".bias") or parameter.ndim == 1 else decayed
            group[name] = parameter
    return decayed, not_decayed


def build_optimizer(network: nn.Module, config: OptimizerConfig) -> torch.optim.Optimizer:
    """An optimizer with the decayed parameters in group 0 and the others in group 1.

    Learning rate and weight decay are 0 here: every step sets them from the schedules.
    """
    decayed, not_decayed = decayed_and_not(network)
    groups = [
        {"params": list(decayed.values()), "weight_decay": 0.0},
        {"params": list(not_decayed.values()), "weight_decay": 0.0},
    ]
    if config.name == "adamw":
        return torch.optim.AdamW(groups, lr=0.0, fused=True)
    if config.name == "sgd":
        return torch.optim.SGD(groups, lr=0.0, momentum=SGD_MOMENTUM)
    return Lars(groups)


def set_step_values(
    optimizer: torch.optim.Optimizer, learning_rate: float, weight_decay: float
) -> None:
    """Set the learning rate of both groups, and the weight decay of group 0."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate
    optimizer.param_groups[0]["weight_decay"] = weight_decay
