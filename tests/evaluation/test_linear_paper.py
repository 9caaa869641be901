import pytest

from dino.core.configuration.architecture import ArchitectureConfig
from dino.core.configuration.features import FeaturesConfig
from dino.core.configuration.linear import LinearConfig
from dino.core.configuration.linear_paper import LinearPaperConfig
from dino.core.seeding import seeded
from dino.data.dataset import PreparedDataset
from dino.evaluation import linear_paper as module
from dino.evaluation.linear import classifier_input, linear
from dino.evaluation.linear_paper import linear_paper
from dino.features.frozen_backbone import FrozenBackbone
from dino.features.global_features import extract_features
from dino.features.labelled_splits import LabelledSplits, labelled_splits
from dino.model.backbone import build_backbone

FEATURES = FeaturesConfig(resize_px=8, crop_px=8, last_blocks=2, batch_size=32)
CONFIG = LinearPaperConfig(epochs=3, batch_size=32, learning_rates=(0.05, 0.5))


@pytest.fixture(scope="module")
def backbone() -> FrozenBackbone:
    architecture = ArchitectureConfig(
        timm_name="vit_tiny_patch16_224",
        image_size_px=8,
        patch_size_px=4,
        embed_dim=16,
        depth=2,
        num_heads=2,
    )
    with seeded(0):
        return FrozenBackbone(build_backbone(architecture))


@pytest.fixture(scope="module")
def splits(backbone: FrozenBackbone, dataset: PreparedDataset) -> LabelledSplits:
    found = extract_features({"m": backbone}, {"m": ""}, dataset, FEATURES)["m"]
    inputs = classifier_input(found.cls_tokens, found.patch_mean, average_pool=False)
    return labelled_splits(inputs, dataset.manifest, dataset.classes)


def test_without_augmentation_it_is_the_cached_protocol(
    backbone: FrozenBackbone, dataset: PreparedDataset, splits: LabelledSplits
) -> None:
    config = LinearPaperConfig(
        epochs=3, batch_size=200, learning_rates=(0.5,), scale=(1.0, 1.0), flip_probability=0.0
    )
    paper = linear_paper(backbone, dataset, splits, config, FEATURES)
    cached = linear(splits, LinearConfig(epochs=3, batch_size=200, learning_rates=(0.5,)))
    # with one batch an epoch the order does not matter
    assert paper.last == cached.last
    for a, b in zip(paper.curve, cached.curve, strict=True):
        assert a.train_loss == pytest.approx(b.train_loss, rel=1e-4)


@pytest.mark.parametrize("cores", [1, 4])
def test_the_result_does_not_depend_on_the_workers(
    backbone: FrozenBackbone,
    dataset: PreparedDataset,
    splits: LabelledSplits,
    monkeypatch: pytest.MonkeyPatch,
    cores: int,
) -> None:
    expected = linear_paper(backbone, dataset, splits, CONFIG, FEATURES)
    monkeypatch.setattr(module, "cores", lambda: cores)
    assert linear_paper(backbone, dataset, splits, CONFIG, FEATURES) == expected


def test_last_and_best_epoch_are_both_reported(
    backbone: FrozenBackbone, dataset: PreparedDataset, splits: LabelledSplits
) -> None:
    result = linear_paper(backbone, dataset, splits, CONFIG, FEATURES)
    assert result.last.epoch == 3
    assert result.best_on_val.val_top1 == max(point.val_top1 for point in result.curve)
    assert len(result.learning_rates) == 2
