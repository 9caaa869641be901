"""Every number of params.yaml at its extremes: it means something, or it is refused in one line."""

import copy
import dataclasses
import types
import typing
from pathlib import Path

import pytest
import yaml

from dino.core.configuration.architecture import ArchitectureConfig
from dino.core.configuration.parameters import Parameters
from dino.core.configuration.section import parse
from dino.core.errors import ConfigurationError

DEFAULT = yaml.safe_load((Path(__file__).parents[2] / "params.yaml").read_text())
ARCHITECTURE = "architectures.vit_micro_7"
ZERO = {
    "architectures.vit_micro_7.drop_path": "no stochastic depth",
    "pretrain.teacher.momentum": "the student itself, from the first step",
    "pretrain.checkpoints.milestone_epochs": "none",
    "pretrain.monitor.after_epochs": "judged from the start",
    "pretrain.monitor.uniform_entropy": "every teacher is called uniform",
    "pretrain.monitor.prototype_share": "every teacher is called one-dimensional",
    "pretrain.crops.local_crops": "without multi-crop",
    "pretrain.crops.flip_probability": "never",
    "pretrain.crops.jitter_probability": "never",
    "pretrain.crops.brightness": "as it is",
    "pretrain.crops.contrast": "as it is",
    "pretrain.crops.saturation": "as it is",
    "pretrain.crops.hue": "as it is",
    "pretrain.crops.grey_probability": "never",
    "pretrain.crops.blur_probability": "never",
    "pretrain.crops.solarize_probability": "never",
    "pretrain.loss.warmup_teacher_temperature_epochs": "no warm-up",
    "pretrain.loss.center_momentum": "the batch's own mean",
    "pretrain.optimizer.min_learning_rate": "falls to nothing",
    "pretrain.optimizer.warmup_epochs": "no warm-up",
    "pretrain.optimizer.weight_decay": "none",
    "pretrain.optimizer.final_weight_decay": "none",
    "pretrain.optimizer.clip_norm": "not clipped",
    "pretrain.optimizer.freeze_last_layer_epochs": "not frozen",
    "pretrain.online_knn_every_epochs": "never",
    "linear_paper.flip_probability": "never",
    "finetune.min_learning_rate": "falls to nothing",
    "finetune.warmup_epochs": "no warm-up",
    "finetune.weight_decay": "none",
    "finetune.drop_path": "no stochastic depth",
    "finetune.label_smoothing": "none",
    "finetune.mixup": "none",
    "finetune.cutmix": "none",
    "finetune.flip_probability": "never",
    "finetune.erase_probability": "never",
}
"""What a 0 means where it is allowed; every seed may be 0 too."""


def _numbers(cls: type, prefix: str) -> typing.Iterator[tuple[str, typing.Any]]:
    """Key and type of every number below a section."""
    for name, hint in typing.get_type_hints(cls).items():
        key = f"{prefix}.{name}".strip(".")
        if dataclasses.is_dataclass(hint):
            yield from _numbers(hint, key)
        elif {int, float} & _parts(hint):
            yield key, hint


def _parts(hint: typing.Any) -> set[typing.Any]:
    arguments = typing.get_args(hint)
    return set().union(*map(_parts, arguments)) if arguments else {hint}


NUMBERS = dict([*_numbers(Parameters, ""), *_numbers(ArchitectureConfig, ARCHITECTURE)])
SEEDS = [key for key in NUMBERS if key.split(".")[-1] == "seed"]


def _read(key: str, value: object) -> Parameters:
    values = copy.deepcopy(DEFAULT)
    *sections, last = key.split(".")
    section = values
    for name in sections:
        section = section.setdefault(name, {})
    hint = NUMBERS[key]
    if typing.get_origin(hint) is tuple and value not in (None, []):
        length = [a for a in typing.get_args(hint) if a is not Ellipsis]
        value = [value] * len(length)
    section[last] = value
    return parse(Parameters, values, "params.yaml")


@pytest.mark.parametrize("key", NUMBERS)
def test_what_is_no_number_of_this_kind_is_refused_in_one_line(key: str) -> None:
    nothing = [None] if types.NoneType not in _parts(NUMBERS[key]) else []
    for value in (-1, 1e30, 10**30, -1e-9, float("nan"), float("inf"), "abc", "5", [], True, {}):
        _refuses(key, value)
    for value in nothing:
        _refuses(key, value)


@pytest.mark.parametrize("key", NUMBERS)
def test_a_zero_means_something_or_is_refused(key: str) -> None:
    if key in ZERO or key in SEEDS:
        _read(key, 0)
    else:
        _refuses(key, 0)


def test_every_meaning_of_a_zero_belongs_to_a_number() -> None:
    assert ZERO.keys() < NUMBERS.keys()


@pytest.mark.parametrize("key", SEEDS)
def test_a_seed_is_what_every_library_takes(key: str) -> None:
    _read(key, 2**32 - 1)
    for value in (2**32, 2**63, 2**64, -(2**32)):
        _refuses(key, value)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("pretrain.head.out_dim", 1),
        ("pretrain.loss.student_temperature", 1e-30),
        ("pretrain.loss.teacher_temperature", 1e-30),
        ("pretrain.loss.teacher_temperature", 1e5),
        ("pretrain.optimizer.learning_rate", 1e5),
        ("knn.temperature", 0.001),
        ("low_shot.fractions", 1.01),
        ("attention.masses", 1),
        ("pretrain.epochs", 1.5),
        ("pretrain.epochs", 5.0),
        ("pretrain.crops.global_size_px", 10**6),
        ("pretrain.head.hidden_dim", 10**9),
    ],
)
def test_what_no_training_could_use_is_refused(key: str, value: object) -> None:
    _refuses(key, value)


def _refuses(key: str, value: object) -> None:
    with pytest.raises(ConfigurationError) as refused:
        _read(key, value)
    message = str(refused.value)
    assert "\n" not in message
    assert key in message.replace("variants.dino", "pretrain"), (value, message)
