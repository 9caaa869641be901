"""The smallest training that is one."""

import dataclasses

from dino.core.configuration.architecture import ArchitectureConfig
from dino.core.configuration.pretrain import (
    CropsConfig,
    HeadConfig,
    OptimizerConfig,
    PretrainConfig,
)

ARCHITECTURE = ArchitectureConfig(
    timm_name="vit_tiny_patch16_224",
    image_size_px=8,
    patch_size_px=4,
    embed_dim=16,
    depth=2,
    num_heads=2,
    drop_path=0.0,
)
CONFIG = PretrainConfig(
    epochs=2,
    batch_size=16,
    precision="float32",
    online_knn_bank=100,
    crops=CropsConfig(global_size_px=8, local_size_px=4, local_crops=2),
    head=HeadConfig(out_dim=24, hidden_dim=16, bottleneck_dim=8),
    optimizer=OptimizerConfig(warmup_epochs=1, learning_rate=0.01),
)


def changed(config: PretrainConfig, **changes) -> PretrainConfig:
    """`config` with other values; a dictionary changes values of the section below."""
    values = {
        name: dataclasses.replace(getattr(config, name), **value)
        if isinstance(value, dict)
        else value
        for name, value in changes.items()
    }
    return dataclasses.replace(config, **values)
