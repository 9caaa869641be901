"""The projection head with the framework's own weight norm."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm


class Head(nn.Module):
    """Three linear layers with GELU, L2 normalisation, weight-normalised prototypes."""

    def __init__(
        self, dim: int, *, hidden_dim: int, bottleneck_dim: int, out_dim: int, norm_last_layer: bool
    ) -> None:
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Linear(dim, hidden_dim),
            nn.GELU(),
            nn.Linear(hidden_dim, hidden_dim),
            nn.GELU(),
            nn.Linear(hidden_dim, bottleneck_dim),
        )
        self.last_layer = weight_norm(nn.Linear(bottleneck_dim, out_dim, bias=False))
        if norm_last_layer:
            self.last_layer.parametrizations.weight.original0.requires_grad = False

    def forward(self, features: Float[Tensor, "rows dim"]) -> Float[Tensor, "rows prototypes"]:
        return self.last_layer(F.normalize(self.mlp(features), dim=-1))
