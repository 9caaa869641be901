"""Backbone and head over crops of several sizes, with the weights of one of ours."""

import math
from collections.abc import Iterator, Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from benchmarks.textbook.head import Head
from benchmarks.textbook.vision_transformer import VisionTransformer
from dino.core.configuration.architecture import ArchitectureConfig
from dino.core.configuration.pretrain import HeadConfig

DIM_OF_A_HEAD = 64
"""In the architectures whose heads are not configured."""


class Network(nn.Module):
    """A backbone and a head; crops of one size go through the backbone together."""

    def __init__(self, backbone: VisionTransformer, head: Head) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head

    def forward(
        self, crops: Sequence[Float[Tensor, "batch 3 _h _w"]]
    ) -> Float[Tensor, "rows prototypes"]:
        """Scores of the prototypes, all images of the first crop before those of the second."""
        groups: list[list[Tensor]] = []
        for crop in crops:
            if groups and groups[-1][0].shape == crop.shape:
                groups[-1].append(crop)
            else:
                groups.append([crop])
        features = [self.backbone(torch.cat(group)) for group in groups]
        return self.head(torch.cat(features))


def network_like(
    weights: Mapping[str, Tensor], architecture: ArchitectureConfig, head: HeadConfig
) -> Network:
    """A textbook network with the weights of ours: `weights` is the state of its student."""
    dim, _, patch_px, _ = weights["backbone.patch_embed.proj.weight"].shape
    grid = math.isqrt(weights["backbone.pos_embed"].shape[1] - 1)
    network = Network(
        VisionTransformer(
            image_px=grid * patch_px,
            patch_px=patch_px,
            dim=dim,
            depth=len([name for name in weights if name.endswith("attn.qkv.weight")]),
            heads=architecture.num_heads or dim // DIM_OF_A_HEAD,
        ),
        Head(
            dim,
            hidden_dim=head.hidden_dim,
            bottleneck_dim=head.bottleneck_dim,
            out_dim=head.out_dim,
            norm_last_layer=head.norm_last_layer,
        ),
    )
    network.load_state_dict(dict(weights))
    return network


def named_as_ours(network: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """The parameters under the names that they have in our networks."""
    for name, parameter in network.named_parameters():
        name = name.replace("parametrizations.weight.original0", "weight_g")
        yield name.replace("parametrizations.weight.original1", "weight_v"), parameter
