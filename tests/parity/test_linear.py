from collections.abc import Callable, Mapping

import numpy as np
import pytest
import torch
from networks import architecture_of, arrays_below
from torch import nn

from dino.evaluation.linear import LinearTraining, classifier_input, validate
from dino.features.frozen_backbone import FrozenBackbone
from dino.features.global_features import tokens_of_last_blocks
from dino.features.labelled_splits import LabelledFeatures
from dino.model.backbone import build_backbone

Golden = Callable[[str], Mapping[str, np.ndarray]]


def _variants(file: Mapping[str, np.ndarray]) -> list[str]:
    return [name.removesuffix("/n") for name in file if name.endswith("/n")]


def _backbone(file: Mapping[str, np.ndarray]) -> nn.Module:
    backbone = build_backbone(architecture_of(file)).eval()
    backbone.load_state_dict(arrays_below(file, "state/"))
    return backbone


@torch.no_grad()
def _input(file: Mapping[str, np.ndarray], variant: str, images: np.ndarray) -> torch.Tensor:
    blocks = int(file[f"{variant}/n"])
    cls_tokens, patch_mean = tokens_of_last_blocks(
        FrozenBackbone(_backbone(file)), torch.from_numpy(images), blocks
    )
    return classifier_input(cls_tokens, patch_mean, bool(file[f"{variant}/avgpool"]))


def _classifier(weight: np.ndarray, bias: np.ndarray) -> nn.Linear:
    classifier = nn.Linear(weight.shape[1], weight.shape[0])
    classifier.load_state_dict({"weight": torch.from_numpy(weight), "bias": torch.from_numpy(bias)})
    return classifier


def test_features_are_the_references(golden: Golden) -> None:
    file = golden("linear")
    for variant in _variants(file):
        for images, expected in zip(file["train_x"], file[f"{variant}/features"], strict=True):
            np.testing.assert_allclose(_input(file, variant, images), expected, atol=2e-5, rtol=0)


def test_training_is_the_references(golden: Golden) -> None:
    file = golden("linear")
    for variant in _variants(file):
        epochs, steps = int(file["cfg/epochs"]), int(file["cfg/iters_per_epoch"])
        training = LinearTraining(
            _classifier(file[f"{variant}/init/weight"], file[f"{variant}/init/bias"]),
            # trained beside another learning rate, as `linear` does it
            learning_rates=(0.01, float(file["cfg/lr_base"])),
            batch_size=int(file["cfg/batch"]),
            epochs=epochs,
        )
        for epoch in range(epochs):
            losses = []
            for step in range(epoch * steps, (epoch + 1) * steps):
                assert training.current_learning_rates[1] == pytest.approx(
                    file[f"{variant}/lr_used"][step]
                )
                features = _input(file, variant, file["train_x"][step])
                labels = torch.from_numpy(file["train_y"][step])
                losses.append(training.step(features, labels)[1].item())
                state = training.classifier(1).state_dict()
                for name in ("weight", "bias"):
                    expected = file[f"{variant}/{name}"][step]
                    np.testing.assert_allclose(state[name], expected, rtol=1e-4, atol=1e-6)
            training.end_epoch()
            assert np.mean(losses) == pytest.approx(file[f"{variant}/epoch_loss"][epoch], rel=1e-5)


def test_validation_is_the_references(golden: Golden) -> None:
    file = golden("linear")
    for variant in _variants(file):
        classifier = _classifier(file[f"{variant}/weight"][-1], file[f"{variant}/bias"][-1])
        split = LabelledFeatures(
            features=_input(file, variant, file["val_x"]), labels=torch.from_numpy(file["val_y"])
        )
        logits = classifier(split.features).detach()
        np.testing.assert_allclose(logits, file[f"{variant}/val_logits"], atol=2e-5, rtol=1e-4)
        scores = validate(classifier, split, file["val_batches"].tolist())
        assert scores.loss == pytest.approx(file[f"{variant}/val_loss"], rel=1e-5)
        assert scores.top1 == pytest.approx(file[f"{variant}/val_acc1"], abs=1e-4)
        assert scores.top5 == pytest.approx(file[f"{variant}/val_acc5"], abs=1e-4)
