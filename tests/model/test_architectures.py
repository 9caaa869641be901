"""The backbones of the paper and their sizes."""

import numpy as np
import pytest
import torch

from dino.core.configuration.architecture import ArchitectureConfig
from dino.core.configuration.pretrain import HeadConfig
from dino.core.errors import ConfigurationError
from dino.core.seeding import Purpose
from dino.model.backbone import build_backbone
from dino.model.batch_norm import synchronise_batch_norm
from dino.model.drop_path import DropPathKey, drop_path_factors, drop_probabilities
from dino.model.student_teacher import build_network, build_student_teacher, feature_dim

HEAD = HeadConfig(out_dim=16, hidden_dim=8, bottleneck_dim=6)
MILLION = 1e6


def _tiny(**changes):
    values = {
        "timm_name": "vit_tiny_patch16_224",
        "image_size_px": 32,
        "patch_size_px": 8,
        "embed_dim": 16,
        "depth": 2,
        "num_heads": 2,
        "drop_path": 0.0,
    }
    return ArchitectureConfig(**{**values, **changes})


# paper: table 1 and section 3.2, the reference's and torchvision's networks for the rest
@pytest.mark.parametrize(
    ("name", "patch_size_px", "dim", "millions"),
    [
        ("vit_tiny_patch16_224", None, 192, 5.5),
        ("vit_small_patch16_224", None, 384, 21.7),
        ("vit_base_patch16_224", None, 768, 85.8),
        ("vit_tiny_patch16_224", 8, 192, 5.5),
        ("vit_small_patch16_224", 8, 384, 21.7),
        ("vit_base_patch16_224", 8, 768, 85.8),
        ("xcit_small_12_p16_224", None, 384, 25.9),
        ("xcit_small_12_p8_224", None, 384, 25.9),
        ("resnet50", None, 2048, 23.5),
    ],
)
def test_parameters_are_as_many_as_published(name, patch_size_px, dim, millions):
    config = ArchitectureConfig(timm_name=name, patch_size_px=patch_size_px)
    with torch.device("meta"):
        backbone = build_backbone(config)
    assert feature_dim(backbone) == dim
    count = sum(p.numel() for p in backbone.parameters()) / MILLION
    assert count == pytest.approx(millions, abs=0.4)


@pytest.mark.parametrize("patch_size_px", [2, 5, 8, 14])
def test_any_patch_size_gives_its_tokens(patch_size_px):
    config = _tiny(patch_size_px=patch_size_px, image_size_px=4 * patch_size_px)
    backbone = build_backbone(config)
    images = torch.randn(2, 3, 4 * patch_size_px, 4 * patch_size_px)
    assert backbone(images).shape == (2, 16)
    assert backbone.forward_features(images).shape == (2, 1 + 16, 16)


@pytest.mark.parametrize("size_px", [(32, 32), (16, 16), (16, 48), (48, 16), (20, 37)])
def test_images_of_any_size_and_shape_have_features(size_px):
    backbone = build_backbone(_tiny())
    rows, columns = (side // 8 for side in size_px)
    images = torch.randn(2, 3, *size_px)
    assert backbone.forward_features(images).shape == (2, 1 + rows * columns, 16)
    turned = backbone(images.transpose(2, 3))
    assert not torch.allclose(backbone(images), turned), "positions tell the axes apart"


@pytest.mark.parametrize("name", ["xcit_nano_12_p16_224", "resnet10t"])
def test_other_families_have_features_of_both_crops(name):
    networks = build_student_teacher(
        ArchitectureConfig(timm_name=name, image_size_px=64, drop_path=0.0), HEAD, seed=0
    )
    crops = [torch.randn(2, 3, side_px, side_px) for side_px in (64, 64, 32)]
    assert networks.student(crops).shape == (6, HEAD.out_dim)
    assert networks.teacher(crops[:2]).shape == (4, HEAD.out_dim)


def test_synchronised_batch_norm_needs_gpus_and_spares_networks_without():
    resnet = build_backbone(ArchitectureConfig(timm_name="resnet10t", image_size_px=64))
    with pytest.raises(ConfigurationError, match="expected GPUs, or a single process"):
        synchronise_batch_norm(resnet)
    plain = build_backbone(_tiny())
    synchronise_batch_norm(plain)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"timm_name": "vit_tiny_patch17_9"}, "vit_tiny_patch17_9"),
        ({"timm_name": "no_such_network"}, "no_such_network"),
        ({"timm_name": "resnet50"}, "resnet50"),
    ],
)
def test_what_timm_cannot_build_is_refused_in_one_line(changes, message):
    with pytest.raises(ConfigurationError, match=message) as caught:
        build_backbone(_tiny(**changes))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_size_px": 30}, "expected image_size_px to be a multiple of patch_size_px 8"),
        ({"num_heads": 3}, "expected embed_dim to be a multiple of num_heads 3"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        _tiny(**changes)


# ---- drop path


def _factors(images, crops=(0, 1), step=3, seed=0, probabilities=(0.0, 0.5, 0.5)):
    from dino.model import drop_path

    purpose = Purpose.PRETRAIN_DROP_PATH
    key = DropPathKey(purpose=purpose, seed=seed, step=step, images=torch.tensor(images))
    with drop_path_factors(key, crops, probabilities, torch.device("cpu")):
        return drop_path._factors.get().view(len(probabilities), len(crops), len(images))


def test_the_rate_grows_linearly_with_the_depth():
    network = build_network(_tiny(depth=5), HEAD, drop_path=0.4)
    # the first block has none; each of the others has one for either branch
    assert drop_probabilities(network) == pytest.approx(np.repeat([0.1, 0.2, 0.3, 0.4], 2))


def test_what_is_dropped_depends_on_seed_step_image_crop_and_block():
    images = list(range(64))
    whole = _factors(images)
    assert not torch.equal(whole[1], whole[2]), "block"
    assert not torch.equal(whole[1, 0], whole[1, 1]), "crop"
    assert not torch.equal(whole[1, 0, :32], whole[1, 0, 32:]), "image"
    assert not torch.equal(whole, _factors(images, step=4))
    assert not torch.equal(whole, _factors(images, seed=1))


def test_what_is_dropped_does_not_depend_on_who_computes_it():
    images = list(range(64))
    whole = _factors(images)
    halves = torch.cat([_factors(images[:32]), _factors(images[32:])], dim=2)
    crops = torch.cat([_factors(images, crops=(0,)), _factors(images, crops=(1,))], dim=1)
    assert torch.equal(whole, halves)
    assert torch.equal(whole, crops)
    assert torch.equal(whole.flip(2), _factors(images[::-1]))


def test_drop_path_keeps_the_expectation():
    factors = _factors(list(range(20000)), probabilities=(0.0, 0.1, 0.5))
    assert (factors[0] == 1).all()
    for row, probability in zip(factors[1:], (0.1, 0.5), strict=True):
        kept = 1 / (1 - probability)
        assert sorted(row.unique().tolist()) == pytest.approx([0.0, kept])
        assert row.mean().item() == pytest.approx(1, abs=0.03)
