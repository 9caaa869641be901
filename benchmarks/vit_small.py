"""The network and the sizes of the large benchmarks: ViT-S/16 as the reference trains it."""

from dino.core.configuration.architecture import ArchitectureConfig
from dino.core.configuration.pretrain import PretrainConfig

# without drop path, which is random: the sides could not be compared
ARCHITECTURE = ArchitectureConfig(timm_name="vit_small_patch16_224", drop_path=0.0)
CONFIG = PretrainConfig(batch_size=8)
"""Everything else is the reference's: 2 crops of 224 px, 8 of 96 px, 65,536 prototypes."""
SEED = 0
