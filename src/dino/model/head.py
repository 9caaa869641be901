"""The projection head: from backbone features to scores of the prototypes."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from dino.core.configuration.pretrain import HeadConfig

INIT_STD = 0.02


class Prototypes(nn.Module):
    """A linear layer without bias whose rows have a direction and a length of their own.

    Same parameters as the reference's weight norm, under the names that its checkpoints carry:
    `weight_v` [prototypes, bottleneck] the direction, `weight_g` [prototypes, 1] the length.
    """

    def __init__(self, bottleneck_dim: int, out_dim: int, norm_last_layer: bool) -> None:
        super().__init__()
        self.weight_g = nn.Parameter(torch.ones(out_dim, 1), requires_grad=not norm_last_layer)
        # the direction starts as torch's default for a linear layer, not as the MLP's normal
        direction = nn.Linear(bottleneck_dim, out_dim, bias=False).weight.detach()
        self.weight_v = nn.Parameter(direction)

    def forward(self, x: Float[Tensor, "rows bottleneck"]) -> Float[Tensor, "rows prototypes"]:
        length = self.weight_v.norm(dim=1, keepdim=True)
        return F.linear(x, self.weight_v * (self.weight_g / length))


class DinoHead(nn.Module):
    """MLP, L2 normalisation, prototypes (paper: section 3.2 and appendix C).

    With a predictor (paper: table 7) two more layers stand before the normalisation.
    """

    def __init__(self, in_dim: int, config: HeadConfig) -> None:
        super().__init__()
        self.mlp = _mlp(in_dim, config)
        self.last_layer = Prototypes(config.bottleneck_dim, config.out_dim, config.norm_last_layer)
        _initialise(self.mlp)
        # drawn last: the other weights of a seed are the same with and without it
        self.predictor = _predictor(config) if config.predictor else nn.Identity()
        _initialise(self.predictor)

    @property
    def out_dim(self) -> int:
        """Number of prototypes K."""
        return len(self.last_layer.weight_v)

    def forward(self, features: Float[Tensor, "rows dim"]) -> Float[Tensor, "rows prototypes"]:
        bottleneck = self.predictor(self.mlp(features))
        return self.last_layer(F.normalize(bottleneck, dim=-1, eps=1e-12))


def _mlp(in_dim: int, config: HeadConfig) -> nn.Module:
    if config.layers == 1:
        return nn.Linear(in_dim, config.bottleneck_dim)
    widths = [in_dim] + [config.hidden_dim] * (config.layers - 1)
    modules: list[nn.Module] = []
    for width_in, width_out in pairwise(widths):
        modules.append(nn.Linear(width_in, width_out))
        if config.batch_norm:
            modules.append(nn.BatchNorm1d(width_out))
        modules.append(nn.GELU())
    return nn.Sequential(*modules, nn.Linear(config.hidden_dim, config.bottleneck_dim))


def _predictor(config: HeadConfig) -> nn.Module:
    return nn.Sequential(
        nn.Linear(config.bottleneck_dim, config.hidden_dim),
        nn.GELU(),
        nn.Linear(config.hidden_dim, config.bottleneck_dim),
    )


def _initialise(mlp: nn.Module) -> None:
    for module in mlp.modules():
        if isinstance(module, nn.Linear):
            nn.init.trunc_normal_(module.weight, std=INIT_STD)
            nn.init.zeros_(module.bias)
