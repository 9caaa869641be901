"""Every preset trains, or evaluates, at the smallest size that keeps its structure."""

import dataclasses
import math
from pathlib import Path

import pytest
import torch
from tiny_training import changed

from dino.core.configuration.architecture import ArchitectureConfig, WeightsConfig
from dino.core.configuration.dataset import DatasetConfig
from dino.core.configuration.features import FeaturesConfig
from dino.core.configuration.parameters import Parameters, Run, read_parameters
from dino.core.configuration.presets import preset_names
from dino.core.configuration.pretrain import PretrainConfig
from dino.data.dataset import PreparedDataset
from dino.data.preparation import prepare
from dino.data.sources.digits import digits
from dino.evaluation.linear import classifier_input, linear
from dino.features.global_features import extract_features
from dino.features.labelled_splits import labelled_splits
from dino.features.teacher import load_backbone, save_backbone
from dino.model.existing_teacher import existing_teacher
from dino.model.student_teacher import initial_backbone
from dino.training.interruption import Interruption
from dino.training.pretrain import Pretraining

ROOT = Path(__file__).parents[2]
IMAGES = 32
PRESETS = {name: read_parameters(ROOT / "presets" / f"{name}.yaml") for name in preset_names(ROOT)}
# an architecture and a variant once, whatever the number of seeds
RUNS = {
    f"{name}: {architecture}-{variant}": (parameters, architecture, variant)
    for name, parameters in PRESETS.items()
    for architecture in parameters.architectures
    for variant in parameters.variants
}
TRAINED = [key for key, (p, name, _) in RUNS.items() if p.architectures[name].weights is None]
EVALUATED = [key for key in RUNS if key not in TRAINED]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    folder = tmp_path_factory.mktemp("digits")
    config = DatasetConfig(
        source="digits", val_images=20, max_train_images=IMAGES, max_test_images=20
    )
    prepare(digits(), config, folder)
    return PreparedDataset.open(folder)


def _small(architecture: ArchitectureConfig) -> ArchitectureConfig:
    """The same family and patch with two narrow blocks and 2 × 2 patches; ResNet-50 as it is."""
    if architecture.timm_name.startswith("resnet"):
        return architecture
    return dataclasses.replace(
        architecture,
        image_size_px=2 * (architecture.patch_px or 0),
        embed_dim=16,
        depth=2,
        num_heads=2,
        weights=None,
    )


def _smallest(config: PretrainConfig, patch_px: int) -> PretrainConfig:
    """The same method for one epoch of two batches: small crops, few prototypes, no warm-up."""
    return changed(
        config,
        epochs=1,
        batch_size=IMAGES // 2,
        precision="float32",
        crops={"global_size_px": 2 * patch_px, "local_size_px": patch_px},
        head={"out_dim": 24, "hidden_dim": 16, "bottleneck_dim": 8},
        loss={"warmup_teacher_temperature_epochs": 0},
        optimizer={"warmup_epochs": 0},
    )


def _pretrain_of(parameters: Parameters, architecture: str, variant: str) -> PretrainConfig:
    return parameters.pretrain_of(Run(architecture=architecture, variant=variant, seed=0))


def _weights(network: torch.nn.Module) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in network.parameters()])


@pytest.mark.parametrize("key", TRAINED)
def test_preset_trains_two_steps(key: str, dataset: PreparedDataset) -> None:
    parameters, name, variant = RUNS[key]
    architecture = parameters.architectures[name]
    config = _smallest(_pretrain_of(parameters, name, variant), architecture.patch_px or 16)
    training = Pretraining(dataset, _small(architecture), config, seed=0)
    before = _weights(training.networks.student)
    training.train(lambda training: None, lambda training: None, Interruption())
    assert training.step == 2
    assert math.isfinite(training.log[-1].loss)
    assert not torch.equal(_weights(training.networks.student), before)


@pytest.mark.parametrize("key", EVALUATED)
def test_preset_evaluates_weights_of_its_architecture(
    key: str, dataset: PreparedDataset, tmp_path: Path
) -> None:
    parameters, name, _ = RUNS[key]
    architecture = _small(parameters.architectures[name])
    file = tmp_path / "released.pth"
    torch.save(initial_backbone(architecture, seed=7).state_dict(), file)
    teacher = existing_teacher(
        dataclasses.replace(architecture, weights=WeightsConfig(file=str(file)))
    )
    save_backbone(tmp_path / "teacher", architecture, teacher.weights, teacher.pixels)
    size_px = 2 * (architecture.patch_px or 16)
    features = extract_features(
        {"teacher": load_backbone(tmp_path / "teacher")},
        {"teacher": teacher.sha256},
        dataset,
        FeaturesConfig(
            resize_px=size_px,
            crop_px=size_px,
            # two blocks stand for the four of a ViT-S
            last_blocks=min(parameters.features.last_blocks, 2),
        ),
    )["teacher"]
    config = dataclasses.replace(parameters.linear, epochs=1)
    inputs = classifier_input(features.cls_tokens, features.patch_mean, config.average_pool)
    splits = labelled_splits(inputs, dataset.manifest, dataset.classes)
    assert 0 <= linear(splits, config).last.test_top1 <= 100
