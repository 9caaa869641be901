"""Facets of any layer, overlapping patches and saliency, beside Amir et al.'s extractor."""

from collections.abc import Callable, Mapping

import numpy as np
import pytest
import torch
from networks import arrays_below

from dino.core.configuration.architecture import ArchitectureConfig
from dino.features.frozen_backbone import FrozenBackbone
from dino.model.backbone import build_backbone

Golden = Callable[[str], Mapping[str, np.ndarray]]
SALIENT_HEADS = [0, 2, 4, 5]


@pytest.fixture(scope="module")
def dense(golden: Golden) -> tuple[Mapping[str, np.ndarray], FrozenBackbone]:
    file = golden("dense_descriptors")
    weights = arrays_below(file, "state/")
    depth = sum(name.endswith(".norm1.weight") for name in weights)
    dim, _, patch, _ = weights["patch_embed.proj.weight"].shape
    side = round((weights["pos_embed"].shape[1] - 1) ** 0.5)
    config = ArchitectureConfig(
        timm_name="vit_tiny_patch16_224",
        image_size_px=side * patch,
        patch_size_px=patch,
        embed_dim=dim,
        depth=depth,
        num_heads=6,
    )
    network = build_backbone(config)
    network.load_state_dict(weights)
    return file, FrozenBackbone(network)


def _heads_fastest(values: torch.Tensor, heads: int) -> np.ndarray:
    """Channels in the extractor's order: those of all heads beside each other."""
    return values.unflatten(-1, (heads, -1)).transpose(-2, -1).flatten(-2).numpy()


def test_descriptors_are_the_references_at_every_layer_facet_and_stride(
    dense: tuple[Mapping[str, np.ndarray], FrozenBackbone],
) -> None:
    file, backbone = dense
    images = torch.from_numpy(file["x"])
    names = [name for name in file if name.startswith("desc/")]
    assert {name.split("/")[3] for name in names} >= {"key", "query", "value", "token"}
    for name in names:
        _, stride, layer, facet = name.split("/")
        strided = backbone.with_stride(int(stride[1:]))
        (tokens,) = strided.tokens(images, [int(layer[1:])], facet.removesuffix("_cls"))
        assert tokens.grid == tuple(file[f"grid/{stride}"])
        values = _heads_fastest(tokens.values, tokens.heads)
        if not facet.endswith("_cls"):
            values = values[:, 1:]
        np.testing.assert_allclose(values, file[name][:, 0], atol=5e-5, rtol=1e-4)


def test_saliency_is_the_references_mean_of_heads(
    dense: tuple[Mapping[str, np.ndarray], FrozenBackbone],
) -> None:
    file, backbone = dense
    for name in (name for name in file if name.startswith("saliency/")):
        _, stride, image = name.split("/")
        images = torch.from_numpy(file["x"])[int(image[1:])][None]
        attention = backbone.with_stride(int(stride[1:])).attention(images, rows="cls")
        saliency = attention.of_first_token[:, SALIENT_HEADS].mean(dim=1).flatten(1)
        saliency = (saliency - saliency.min()) / (saliency.max() - saliency.min())
        np.testing.assert_allclose(saliency.numpy(), file[name], atol=1e-5)
