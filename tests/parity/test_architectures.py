import re

import numpy as np
import pytest
import torch
from networks import head_of

from dino.core.configuration.architecture import ArchitectureConfig
from dino.model.backbone import build_backbone
from dino.model.head import DinoHead


def _build(model, shapes):
    if match := re.fullmatch(r"head_(\d+)_\d+_(.+)", model):
        weights = {
            name: torch.empty([int(side) for side in shape.split(",") if side], device="meta")
            for name, shape in shapes.items()
        }
        return DinoHead(int(match[1]), head_of(weights, norm_last_layer="free" not in match[2]))
    size, patch = re.fullmatch(r"vit_(\w+)_(\d+)", model).groups()
    return build_backbone(
        ArchitectureConfig(timm_name=f"vit_{size}_patch16_224", patch_size_px=int(patch))
    )


def test_names_shapes_and_initial_spread_are_the_references(golden):
    file = golden("architectures")
    models = sorted({name.split("/")[0] for name in file})
    assert models
    for model in models:
        shapes = dict(zip(file[f"{model}/names"], file[f"{model}/shapes"], strict=True))
        network = _build(model, shapes)
        state = network.state_dict()
        assert list(state) == file[f"{model}/names"].tolist() or sorted(state) == sorted(
            file[f"{model}/names"].tolist()
        )
        spreads = dict(zip(file[f"{model}/names"], file[f"{model}/init_std"], strict=True))
        for name, value in state.items():
            assert ",".join(map(str, value.shape)) == shapes[name], name
            if value.numel() > 1000:
                assert value.std().item() == pytest.approx(spreads[name], rel=0.05, abs=1e-7), name
        parameters = list(network.parameters())
        assert sum(p.numel() for p in parameters) == file[f"{model}/n_params"]
        trainable = sum(p.numel() for p in parameters if p.requires_grad)
        assert trainable == file[f"{model}/n_trainable"]


def test_patch_embedding_keeps_the_frameworks_initialisation():
    backbone = build_backbone(ArchitectureConfig(timm_name="vit_small_patch16_224"))
    weight = backbone.patch_embed.proj.weight
    # torch's default for a convolution is uniform within 1 / sqrt(fan in)
    bound = 1 / np.sqrt(3 * 16 * 16)
    assert weight.abs().max().item() <= bound
    assert weight.std().item() == pytest.approx(bound / np.sqrt(3), rel=0.02)
