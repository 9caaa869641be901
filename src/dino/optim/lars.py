"""Layer-wise adaptive rate scaling (You et al. 2017), as the reference uses it for convnets."""

from collections.abc import Iterable
from typing import Any

import torch


class Lars(torch.optim.Optimizer):
    """SGD with momentum whose step is scaled for each tensor by its norm over its gradient's.

    One-dimensional parameters have neither weight decay nor scaling.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 0.0,
        weight_decay: float = 0.0,
        momentum: float = 0.9,
        trust_coefficient: float = 0.001,
    ) -> None:
        defaults = {
            "lr": lr,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "trust_coefficient": trust_coefficient,
        }
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Move every parameter that has a gradient."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._move(parameter, group)

    def _move(self, parameter: torch.Tensor, group: dict[str, Any]) -> None:
        update = parameter.grad
        assert update is not None
        if parameter.ndim != 1:
            update = update.add(parameter, alpha=group["weight_decay"])
            parameter_norm, update_norm = parameter.norm(), update.norm()
            ratio = group["trust_coefficient"] * parameter_norm / update_norm
            usable = (parameter_norm > 0) & (update_norm > 0)
            update = update * torch.where(usable, ratio, torch.ones_like(ratio))
        state = self.state[parameter]
        if "mu" not in state:
            state["mu"] = torch.zeros_like(parameter)
        state["mu"].mul_(group["momentum"]).add_(update)
        parameter.add_(state["mu"], alpha=-group["lr"])
