import timm
import torch

from dino.core.configuration.architecture import ArchitectureConfig
from dino.features.teacher import load_backbone, save_backbone
from dino.model.student_teacher import initial_backbone

ARCHITECTURE = ArchitectureConfig(
    timm_name="vit_tiny_patch16_224",
    image_size_px=28,
    patch_size_px=7,
    embed_dim=32,
    depth=3,
    num_heads=4,
)


def test_plain_timm_opens_the_folder_with_the_same_features(tmp_path):
    backbone = initial_backbone(ARCHITECTURE, seed=1).eval()
    save_backbone(tmp_path / "teacher", ARCHITECTURE, backbone.state_dict())
    plain = timm.create_model(f"local-dir:{tmp_path / 'teacher'}", pretrained=True).eval()
    images = torch.randn(2, 3, 28, 28)
    torch.testing.assert_close(plain(images), backbone(images), atol=3e-6, rtol=0)


def test_our_loader_keeps_the_references_positions_at_other_sizes(tmp_path):
    backbone = initial_backbone(ARCHITECTURE, seed=1).eval()
    save_backbone(tmp_path, ARCHITECTURE, backbone.state_dict())
    images = torch.randn(2, 3, 56, 42)
    torch.testing.assert_close(load_backbone(tmp_path)(images), backbone(images))
