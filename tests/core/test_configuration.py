import dataclasses
import re
from pathlib import Path

import pytest
import yaml

from dino.core.configuration.architecture import ArchitectureConfig
from dino.core.configuration.attention import AttentionConfig
from dino.core.configuration.features import FeaturesConfig
from dino.core.configuration.finetune import FinetuneConfig
from dino.core.configuration.knn import KnnConfig
from dino.core.configuration.linear import LinearConfig
from dino.core.configuration.linear_paper import LinearPaperConfig
from dino.core.configuration.low_shot import LowShotConfig
from dino.core.configuration.parameters import Parameters, read_parameters
from dino.core.configuration.pretrain import (
    CropsConfig,
    HeadConfig,
    LossConfig,
    OptimizerConfig,
    PretrainConfig,
)
from dino.core.configuration.section import parse
from dino.core.errors import ConfigurationError

ROOT = Path(__file__).parents[2]


def _values() -> dict:
    return yaml.safe_load((ROOT / "params.yaml").read_text())


def _refusal(values: dict) -> str:
    with pytest.raises(ConfigurationError) as caught:
        parse(Parameters, values, where="params.yaml")
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_the_projects_parameters_are_valid():
    assert read_parameters(ROOT / "params.yaml").all_runs()


def test_an_unknown_key_is_named():
    values = _values()
    values["pretrain"]["optimizer"]["learning_rat"] = 1
    message = _refusal(values)
    assert "params.yaml.pretrain.optimizer.learning_rat" in message
    assert "unknown key" in message


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("pretrain.teacher.momentum", 1.5),
        ("pretrain.epochs", 0),
        ("pretrain.optimizer.learning_rate", -1),
        ("pretrain.crops.global_scale", [0.9, 0.2]),
        ("pretrain.crops.local_scale", [0.1, 1.5]),
        ("pretrain.loss.student_temperature", 0),
        ("knn.temperature", "warm"),
        ("attention.masses", [0.6, 1.0]),
        ("attention.masses", [0.6, 0.6]),
        ("attention.objects", "instances"),
        ("prepare.source", "imagenet22k"),
        ("pretrain.loss.warmup_teacher_temperature_epochs", 99),
        ("knn.headline", 7),
        ("finetune.layer_decay", 1.5),
        ("finetune.auto_augment", "flip everything"),
        ("finetune.crop_scale", [0.9, 0.2]),
        ("finetune.warmup_epochs", 99),
        ("robustness.temperature", 0),
    ],
)
def test_a_value_out_of_range_is_named_with_what_came(path, value):
    values = _values()
    *parents, key = path.split(".")
    section = values
    for parent in parents:
        section = section[parent]
    section[key] = value
    message = _refusal(values)
    assert key in message
    assert "xpected" in message or "should be" in message


def test_a_crop_that_is_no_multiple_of_the_patch_is_refused():
    values = _values()
    values["pretrain"]["crops"]["local_size_px"] = 13
    message = _refusal(values)
    assert "pretrain.crops.local_size_px" in message
    assert "got 13" in message


def test_the_patch_in_an_architectures_name_counts():
    values = _values()
    name = values["runs"]["architecture"][0]
    values["architectures"][name] = {"timm_name": "vit_small_patch16_224"}
    assert "patch_size_px 16, got 28" in _refusal(values)
    convnet = ArchitectureConfig(timm_name="resnet50", image_size_px=225)
    assert convnet.patch_px is None


def test_contradictions_are_refused_before_anything_is_trained():
    values = _values()
    values["features"]["last_blocks"] = 7
    assert "features.last_blocks of at most" in _refusal(values)
    values = _values()
    values["linear"]["average_pool"] = True
    assert "linear.average_pool" in _refusal(values)
    values = _values()
    values["runs"]["seed"] = [1, 1]
    assert "without duplicates" in _refusal(values)


def test_a_run_needs_an_architecture_that_is_described():
    values = _values()
    values["runs"]["architecture"] = ["vit_huge_14"]
    assert "vit_huge_14" in _refusal(values)


def test_runs_are_every_architecture_with_every_seed():
    values = _values()
    values["runs"]["seed"] = [0, 3]
    name = values["runs"]["architecture"][0]
    runs = parse(Parameters, values, where="").all_runs()
    assert [run.name for run in runs] == [f"{name}-dino-s0", f"{name}-dino-s3"]


def test_a_variant_changes_what_it_names_and_nothing_else():
    values = _values()
    values["variants"]["blunt"] = {"loss": {"teacher_temperature": 0.1}, "batch_size": 32}
    values["runs"]["variant"] = ["dino", "blunt"]
    parameters = parse(Parameters, values, where="")
    plain, blunt = parameters.all_runs()
    assert (plain.variant, blunt.variant) == ("dino", "blunt")
    assert parameters.pretrain_of(plain) == parameters.pretrain
    changed = parameters.pretrain_of(blunt)
    assert changed.loss == dataclasses.replace(parameters.pretrain.loss, teacher_temperature=0.1)
    assert changed == dataclasses.replace(parameters.pretrain, loss=changed.loss, batch_size=32)


@pytest.mark.parametrize(
    ("overrides", "refusal"),
    [
        ({"loss": {"teacher_temprature": 0.1}}, "variants.odd.loss.teacher_temprature: unknown"),
        ({"teacher": {"kind": "wise"}}, "variants.odd.teacher.kind: "),
        ({"optimizer": {"warmup_epochs": 99}}, "warmup_epochs of at most"),
        ({"crops": {"local_size_px": 13}}, r"local_size_px \(variants.odd\) to be a multiple"),
    ],
)
def test_a_variants_values_are_checked_like_any_other(overrides, refusal):
    values = _values()
    values["variants"]["odd"] = overrides
    values["runs"]["variant"] = ["odd"]
    assert re.search(refusal, _refusal(values))


def test_a_variant_has_to_be_described():
    values = _values()
    values["runs"]["variant"] = ["no_momentum"]
    assert "expected runs.variant among dino, got no_momentum" in _refusal(values)


def test_missing_and_broken_files_are_one_line(tmp_path):
    with pytest.raises(ConfigurationError, match="not found"):
        read_parameters(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text("runs: [")
    with pytest.raises(ConfigurationError, match="not valid YAML"):
        read_parameters(tmp_path / "params.yaml")


def test_training_defaults_are_the_references():
    """facebookresearch/dino, main_dino.py `get_args_parser`; arXiv 2104.14294, appendix D."""
    assert PretrainConfig().epochs == 100
    assert PretrainConfig().batch_size == 8 * 64
    assert PretrainConfig().teacher.momentum == 0.996
    assert HeadConfig() == HeadConfig(
        out_dim=65536,
        hidden_dim=2048,
        bottleneck_dim=256,
        layers=3,
        batch_norm=False,
        norm_last_layer=True,
    )
    assert LossConfig() == LossConfig(
        student_temperature=0.1,
        teacher_temperature=0.04,
        warmup_teacher_temperature=0.04,
        warmup_teacher_temperature_epochs=0,
        center_momentum=0.9,
    )
    assert OptimizerConfig() == OptimizerConfig(
        name="adamw",
        learning_rate=5e-4,
        min_learning_rate=1e-6,
        warmup_epochs=10,
        weight_decay=0.04,
        final_weight_decay=0.4,
        clip_norm=3.0,
        freeze_last_layer_epochs=1,
    )
    assert CropsConfig() == CropsConfig(
        global_size_px=224,
        local_size_px=96,
        local_crops=8,
        global_scale=(0.4, 1.0),
        local_scale=(0.05, 0.4),
        flip_probability=0.5,
        jitter_probability=0.8,
        brightness=0.4,
        contrast=0.4,
        saturation=0.2,
        hue=0.1,
        grey_probability=0.2,
        blur_radius_px=(0.1, 2.0),
        blur_probability=(1.0, 0.1, 0.5),
        solarize_probability=0.2,
    )
    assert ArchitectureConfig(timm_name="vit_small_patch16_224").drop_path == 0.1


def test_fine_tuning_defaults_are_maes_for_vit_b():
    """facebookresearch/mae, FINETUNE.md, and main_finetune.py `get_args_parser`."""
    assert FinetuneConfig() == FinetuneConfig(
        epochs=100,
        batch_size=32 * 4 * 8,
        learning_rate=5e-4,
        min_learning_rate=1e-6,
        warmup_epochs=5,
        weight_decay=0.05,
        layer_decay=0.65,
        drop_path=0.1,
        label_smoothing=0.1,
        mixup=0.8,
        cutmix=1.0,
        resize_px=256,
        crop_px=224,
        crop_scale=(0.08, 1.0),
        flip_probability=0.5,
        auto_augment="rand-m9-mstd0.5-inc1",
        erase_probability=0.25,
    )


def test_evaluation_defaults_are_the_references():
    """facebookresearch/dino, eval_knn.py, eval_linear.py and visualize_attention.py."""
    assert KnnConfig().neighbours == (10, 20, 100, 200)
    assert KnnConfig().headline == 20
    assert KnnConfig().temperature == 0.07
    assert LinearConfig().epochs == LinearPaperConfig().epochs == 100
    assert LinearPaperConfig().learning_rates == (0.001,)
    assert (LinearPaperConfig().scale, LinearPaperConfig().flip_probability) == ((0.08, 1.0), 0.5)
    assert (LowShotConfig().fractions, LowShotConfig().draws) == ((0.01, 0.1), 5)
    assert LinearConfig().learning_rates == (0.001,)
    assert (FeaturesConfig().resize_px, FeaturesConfig().crop_px) == (256, 224)
    assert FeaturesConfig().last_blocks == 4
    assert AttentionConfig().image_size_px == 480
    assert AttentionConfig().headline == "paper@0.6"
    assert AttentionConfig().masses == (0.6, 0.8)


@pytest.mark.parametrize(
    ("weights", "problem"),
    [
        ({}, "expected one of file, timm and folder, got none"),
        ({"file": "a", "folder": "b"}, "got file and folder"),
        ({"folder": "b", "network": "student"}, "expected network: teacher with folder"),
        ({"timm": "resnet50.a1_in1k"}, "expected weights.timm of vit_tiny_patch16_224"),
        ({"file": "a", "sha256": "short"}, "should match pattern"),
    ],
)
def test_weights_have_one_source_that_fits(weights: dict[str, str], problem: str) -> None:
    values = {"timm_name": "vit_tiny_patch16_224", "weights": weights}
    with pytest.raises(ConfigurationError, match=problem):
        parse(ArchitectureConfig, values, "architectures.vit")


def test_crops_do_not_concern_an_architecture_that_is_not_trained() -> None:
    values = {
        "runs": {"architecture": ["vit"]},
        "architectures": {"vit": {"timm_name": "vit_tiny_patch14_dinov2", "image_size_px": 28}},
        "features": {"resize_px": 28, "crop_px": 28},
        "attention": {"image_size_px": 28},
        "pretrain": {"crops": {"global_size_px": 30}},
    }
    with pytest.raises(ConfigurationError, match=r"pretrain.crops.global_size_px"):
        parse(Parameters, values, "params.yaml")
    values["architectures"]["vit"]["weights"] = {"file": "teacher.pth"}
    parse(Parameters, values, "params.yaml")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"source": "folder"}, "expected path to be set with source: folder, got null"),
        ({"source": "digits", "path": "x"}, "expected path to be null with source: digits"),
        ({"source": "huggingface"}, "expected path or huggingface.name with source: huggingface"),
        ({"source": "voc2012", "masks": "all"}, "'instances' or 'classes'"),
        ({"huggingface": {"column": "x"}}, "prepare.huggingface.column: unknown key"),
    ],
)
def test_a_source_that_lacks_something_is_refused(values, message):
    assert message in _refusal({**_values(), "prepare": values})
