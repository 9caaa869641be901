"""Networks with the sizes and weights that a golden file holds."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from dino.core.configuration.architecture import ArchitectureConfig
from dino.core.configuration.pretrain import HeadConfig
from dino.model.reference_checkpoint import ReferenceNetwork
from dino.training.starting_point import head_of as shape_of_head

Arrays = Mapping[str, np.ndarray]


def arrays_below(file: Arrays, prefix: str) -> dict[str, Tensor]:
    """The arrays whose names start with `prefix`, without it, as tensors."""
    return {
        name.removeprefix(prefix): torch.from_numpy(file[name])
        for name in file
        if name.startswith(prefix)
    }


def architecture_of(file: Arrays) -> ArchitectureConfig:
    """The vision transformer that a file's cfg/* describes."""
    return ArchitectureConfig(
        timm_name="vit_tiny_patch16_224",
        image_size_px=int(file["cfg/img_size"]),
        patch_size_px=int(file["cfg/patch_size"]),
        embed_dim=int(file["cfg/embed_dim"]),
        depth=int(file["cfg/depth"]),
        num_heads=int(file["cfg/num_heads"]),
        drop_path=0.0,
    )


def head_of(weights: Mapping[str, Tensor], norm_last_layer: bool = True) -> HeadConfig:
    """The projection head that has these weights: its depth, widths and BatchNorm."""
    head = shape_of_head(ReferenceNetwork(backbone={}, head=dict(weights)))
    assert head is not None
    return replace(head, norm_last_layer=norm_last_layer)


def assert_close(actual: Tensor, expected: np.ndarray, atol: float, rtol: float = 0.0) -> None:
    """Fail unless the two agree element by element."""
    np.testing.assert_allclose(actual.detach().numpy(), expected, atol=atol, rtol=rtol)


def names_with_gradient(module: nn.Module) -> list[str]:
    """The trainable parameters in the module's order."""
    return [name for name, parameter in module.named_parameters() if parameter.requires_grad]
