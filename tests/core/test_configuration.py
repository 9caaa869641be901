import dataclasses
import re
from pathlib import Path

import pytest
import yaml

from dino.core.configuration.architecture import ArchitectureConfig
from dino.core.configuration.parameters import Parameters, read_parameters
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
        ("datasets.fashion.source", "imagenet22k"),
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
    assert "features.last_blocks: expected at most" in _refusal(values)
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
        ({"crops": {"local_size_px": 13}}, r"local_size_px \(variants.odd\): expected a multiple"),
    ],
)
def test_a_variants_values_are_checked_like_any_other(overrides, refusal):
    values = _values()
    values["variants"]["odd"] = overrides
    values["runs"]["variant"] = ["odd"]
    assert re.search(refusal, _refusal(values))


def test_plain_dino_is_what_pretrain_says():
    values = _values()
    values["variants"]["dino"] = {"teacher": {"kind": "student_copy"}}
    assert "variants.dino: expected nothing" in _refusal(values)


def test_a_variant_has_to_be_described():
    values = _values()
    values["runs"]["variant"] = ["no_momentum"]
    assert _refusal(values) == "runs.variant: expected one of dino, got no_momentum"


def test_missing_and_broken_files_are_one_line(tmp_path):
    with pytest.raises(ConfigurationError, match="not found"):
        read_parameters(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text("runs: [")
    with pytest.raises(ConfigurationError, match="not valid YAML"):
        read_parameters(tmp_path / "params.yaml")


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
        "runs": {"architecture": ["vit"], "variant": ["dino"], "seed": [0]},
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
        ({"huggingface": {"column": "x"}}, "datasets.images.huggingface.column: unknown key"),
    ],
)
def test_a_source_that_lacks_something_is_refused(values, message):
    assert message in _refusal({**_values(), "datasets": {"images": values}})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"datasets": {"a/b": {}}}, "datasets: expected letters, digits and _, got a/b"),
        ({"datasets": {}}, "datasets: Dictionary should have at least 1 item"),
        (
            {"datasets": {"one": {}, "two": {}}, "pretrain": {}},
            "pretrain.dataset: expected one of one, two, got null",
        ),
        (
            {"datasets": {"one": {}}, "pretrain": {"dataset": "two"}},
            "pretrain.dataset: expected one of one, got two",
        ),
        ({"variants": {"dino": {}, "v": {"dataset": "x"}}}, "variants.v.dataset: expected nothing"),
    ],
)
def test_the_data_set_trained_on_is_one_of_the_named(changes, message):
    assert message in _refusal({**_values(), **changes})


def test_of_a_single_data_set_the_name_may_be_left_out():
    values = _values()
    del values["pretrain"]["dataset"]
    values["datasets"] = {"photos": {}}
    assert parse(Parameters, values, "").trained_on == "photos"


def test_a_file_from_before_data_sets_had_names_says_what_to_write(tmp_path):
    (tmp_path / "params.yaml").write_text("prepare: {source: digits}\n")
    with pytest.raises(ConfigurationError, match=r"below `datasets: \{NAME: \.\.\.\}`"):
        read_parameters(tmp_path / "params.yaml")
