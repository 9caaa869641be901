from dataclasses import replace

import numpy as np
import pytest
import timm
import torch
from torch import nn

from dino.core.configuration.architecture import ArchitectureConfig
from dino.core.configuration.finetune import FinetuneConfig
from dino.core.errors import CollapseError, ConfigurationError
from dino.data.dataset import PreparedDataset
from dino.evaluation import finetune as module
from dino.evaluation.finetune import FinetuneResult, finetune, training_images
from dino.evaluation.network_training import Mixing, NetworkTraining, add_classifier
from dino.model.backbone import build_backbone

CONFIG = FinetuneConfig(
    epochs=3,
    batch_size=30,
    learning_rate=0.02,
    warmup_epochs=1,
    resize_px=8,
    crop_px=8,
    precision="float32",
)
PLAIN = replace(
    CONFIG,
    epochs=25,
    learning_rate=0.06,
    crop_scale=(0.8, 1.0),
    flip_probability=0.0,
    auto_augment=None,
    erase_probability=0.0,
    mixup=0.0,
    cutmix=0.0,
    drop_path=0.0,
)


def _backbone(drop_path: float = 0.1) -> nn.Module:
    torch.manual_seed(0)
    config = ArchitectureConfig(
        timm_name="vit_tiny_patch16_224",
        image_size_px=8,
        patch_size_px=2,
        embed_dim=32,
        depth=2,
        num_heads=2,
    )
    return build_backbone(config, drop_path)


def _training(config: FinetuneConfig, layer_decay: float) -> NetworkTraining:
    return NetworkTraining(
        add_classifier(_backbone(config.drop_path), 10, seed=0),
        config,
        layer_decay=layer_decay,
        steps_per_epoch=5,
        device=torch.device("cpu"),
    )


def _finetune(dataset: PreparedDataset, config: FinetuneConfig) -> FinetuneResult:
    return finetune({"a": _backbone(config.drop_path)}, {"a": 0.75}, dataset, config)["a"]


@pytest.fixture(scope="module")
def result(dataset: PreparedDataset) -> FinetuneResult:
    return _finetune(dataset, CONFIG)


def test_digits_are_learned(dataset: PreparedDataset) -> None:
    result = finetune({"a": _backbone(0.0)}, {"a": 1.0}, dataset, PLAIN)["a"]
    assert result.last.test_top1 > 30
    assert result.curve[-1].train_loss < result.curve[0].train_loss


def test_a_seed_gives_one_result(dataset: PreparedDataset, result: FinetuneResult) -> None:
    assert result == _finetune(dataset, CONFIG)
    assert result.curve != _finetune(dataset, replace(CONFIG, seed=1)).curve


def test_a_network_learns_the_same_alone_and_beside_another(
    dataset: PreparedDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    # as many threads for either, which sum in another order
    monkeypatch.setattr(module, "cores", lambda: 1)
    both = finetune({"a": _backbone(), "b": _backbone()}, {"a": 0.75, "b": 1.0}, dataset, CONFIG)
    assert both["a"] == _finetune(dataset, CONFIG)
    assert both["b"].curve != both["a"].curve


def test_pixels_that_are_not_kept_are_the_same(
    dataset: PreparedDataset, result: FinetuneResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_KEPT_BYTES", 0)
    assert result == _finetune(dataset, CONFIG)


def test_last_and_best_on_val_are_two_points_of_one_training(result: FinetuneResult) -> None:
    tops = [epoch.val_top1 for epoch in result.curve if epoch.val_top1 is not None]
    assert [epoch.epoch for epoch in result.curve] == [1, 2, 3]
    assert (result.last.epoch, result.last.val_top1) == (3, tops[-1])
    assert result.best_on_val.val_top1 == max(tops)
    assert result.best_on_val.epoch == tops.index(max(tops)) + 1
    assert result.last.test_top1_interval is not None
    low, high = result.last.test_top1_interval
    assert low <= result.last.test_top1 <= high


def test_rarer_looks_at_val_change_no_training(
    dataset: PreparedDataset, result: FinetuneResult
) -> None:
    rarely = _finetune(dataset, replace(CONFIG, validate_every_epochs=2))
    assert [e.train_loss for e in rarely.curve] == [e.train_loss for e in result.curve]
    tops = [epoch.val_top1 for epoch in result.curve]
    assert [epoch.val_top1 for epoch in rarely.curve] == [None, *tops[1:]]
    assert rarely.last == result.last


def test_test_labels_choose_nothing(dataset: PreparedDataset, result: FinetuneResult) -> None:
    manifest = dataset.manifest.copy()
    manifest.loc[dataset.indices("test"), "label"] = 0
    other = _finetune(replace(dataset, manifest=manifest), CONFIG)
    assert other.curve == result.curve


def test_layers_learn_slower_the_deeper_they_lie() -> None:
    training = _training(CONFIG, layer_decay=0.5)
    names = {id(p): name for name, p in training.network.named_parameters()}
    scales = {
        names[id(p)]: group["lr_scale"]
        for group in training.optimizer.param_groups
        for p in group["params"]
    }
    assert set(scales) == set(names.values())
    assert scales["head.weight"] == 1.0
    # timm counts the last norm with the last block
    assert scales["blocks.1.mlp.fc2.weight"] == 2 * scales["blocks.0.mlp.fc2.weight"]
    assert scales["patch_embed.proj.weight"] == scales["pos_embed"]
    assert scales["pos_embed"] == scales["blocks.0.attn.qkv.weight"] / 2


def test_positions_cls_token_and_everything_one_dimensional_are_not_decayed() -> None:
    training = _training(CONFIG, layer_decay=1.0)
    names = {id(p): name for name, p in training.network.named_parameters()}
    for group in training.optimizer.param_groups:
        for parameter in group["params"]:
            name = names[id(parameter)]
            free = parameter.ndim == 1 or name in ("pos_embed", "cls_token")
            assert group["weight_decay"] == (0.0 if free else 0.05), name


def test_the_learning_rate_warms_up_and_falls_and_is_scaled_by_layer() -> None:
    training = _training(CONFIG, layer_decay=0.5)
    assert len(training.learning_rates) == 15
    assert training.learning_rates[0] == 0
    assert training.learning_rates.max() == pytest.approx(0.02 * 30 / 256)
    images, targets = torch.randn(30, 3, 8, 8), torch.full((30, 10), 0.1)
    training.step(7, images, targets, torch.arange(30))
    for group in training.optimizer.param_groups:
        assert group["lr"] == training.learning_rates[7] * group["lr_scale"]


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("resnet10t", {}),
        ("xcit_nano_12_p16_224", {}),
        # two tokens, each with a classifier
        ("deit_tiny_distilled_patch16_224", {"img_size": 32, "depth": 2}),
    ],
)
def test_other_backbones_have_layers_too(name: str, arguments: dict[str, int]) -> None:
    backbone = timm.create_model(name, num_classes=0, drop_path_rate=0.1, **arguments)
    training = NetworkTraining(
        add_classifier(backbone, 3, seed=0),
        CONFIG,
        layer_decay=0.5,
        steps_per_epoch=2,
        device=torch.device("cpu"),
    )
    assert len({group["lr_scale"] for group in training.optimizer.param_groups}) > 3
    targets = torch.eye(3)[torch.tensor([0, 1])]
    loss = training.step(3, torch.randn(2, 3, 32, 32), targets, torch.arange(2))
    assert torch.isfinite(loss)


def test_the_classifier_depends_on_its_seed_alone() -> None:
    heads = []
    for state, seed in ((1, 0), (2, 0), (1, 1)):
        backbone = _backbone()
        torch.manual_seed(state)
        heads.append(add_classifier(backbone, 10, seed).get_classifier().weight)
    assert torch.equal(heads[0], heads[1]) and not torch.equal(heads[0], heads[2])


def test_without_mixing_targets_are_smoothed_labels() -> None:
    images, labels = torch.randn(4, 3, 8, 8), torch.tensor([0, 1, 2, 0])
    same, targets = Mixing(replace(PLAIN, label_smoothing=0.3), classes=3)(0, images, labels)
    assert torch.equal(same, images)
    torch.testing.assert_close(targets, 0.7 * torch.eye(3)[labels] + 0.1)


def test_mixing_depends_on_seed_and_step_alone() -> None:
    images, labels = torch.randn(4, 3, 8, 8), torch.tensor([0, 1, 2, 0])

    def mixed(step: int) -> tuple[torch.Tensor, torch.Tensor]:
        return Mixing(CONFIG, classes=3)(step, images.clone(), labels)

    np.random.default_rng().random()
    first, again, other = mixed(0), mixed(0), mixed(1)
    assert torch.equal(first[0], again[0]) and torch.equal(first[1], again[1])
    assert not torch.equal(first[1], other[1])
    torch.testing.assert_close(first[1].sum(dim=1), torch.ones(4))


def test_a_subset_is_drawn_from_the_labelled_images_by_class(dataset: PreparedDataset) -> None:
    # as in STL-10, where most training images have no label
    train, manifest = dataset.indices("train"), dataset.manifest.copy()
    manifest.loc[train[::2], "label"] = -1
    manifest.loc[train[:30], "label"] = -1
    half = replace(dataset, manifest=manifest)
    chosen = training_images(half, replace(CONFIG, max_train_images=40))
    assert len(chosen) == 40
    assert set(chosen) <= set(half.labelled_indices("train"))
    labelled = manifest["label"].to_numpy()[half.labelled_indices("train")]
    shares = 40 * np.bincount(labelled) / len(labelled)
    assert np.abs(np.bincount(manifest["label"].to_numpy()[chosen]) - shares).max() < 1.5
    everything = training_images(half, replace(CONFIG, max_train_images=10**6))
    assert np.array_equal(everything, half.labelled_indices("train"))


def test_a_batch_above_the_labelled_images_is_refused(dataset: PreparedDataset) -> None:
    config = replace(CONFIG, max_train_images=20)
    with pytest.raises(ConfigurationError, match="expected at most the 20 labelled images, got 30"):
        training_images(dataset, config)


def test_what_cannot_be_finetuned_is_one_line(dataset: PreparedDataset) -> None:
    of_one_size = timm.create_model(
        "deit_tiny_distilled_patch16_224", num_classes=0, img_size=32, patch_size=4, depth=1
    )
    with pytest.raises(ConfigurationError, match=r"crop_px: expected what Vis.* got 8"):
        finetune({"a": of_one_size}, {"a": 1.0}, dataset, CONFIG)
    backbone = _backbone()
    backbone.get_classifier = lambda: nn.Conv2d(8, 3, 1)  # type: ignore[method-assign, assignment]
    with pytest.raises(ConfigurationError, match=r"a linear classifier, got .* with Conv2d"):
        add_classifier(backbone, 3, seed=0)


def test_a_diverging_training_is_a_clear_error(dataset: PreparedDataset) -> None:
    backbone = _backbone()
    nn.init.constant_(backbone.norm.weight, float("nan"))
    with pytest.raises(CollapseError, match="the loss of a in epoch 1 is nan; lower"):
        finetune({"a": backbone}, {"a": 1.0}, dataset, CONFIG)
