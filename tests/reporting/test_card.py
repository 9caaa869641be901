"""A model card says what was measured, on what, by what, and what was not."""

from dataclasses import replace
from typing import Any

import pytest
import yaml

from dino.core.artifacts import read_json
from dino.core.configuration.architecture import ArchitectureConfig
from dino.core.configuration.pretrain import PretrainConfig
from dino.core.provenance import plain
from dino.reporting.card import CardInputs, model_card

RUN = "vit_micro_7-dino-s0"
ARCHITECTURE = {"timm_name": "vit_tiny_patch16_224", "image_size_px": 32}


@pytest.fixture
def inputs(projects: Any, tmp_path: Any) -> CardInputs:
    project = projects(tmp_path, architectures=("vit_micro_7",), seeds=(0,))
    results = {name: read_json(project.run(RUN).result(name)) for name in ("linear", "attention")}
    knn = read_json(project.run(RUN).result("knn"))
    for row in knn["scores"]:
        if (row["model"], row["key"]) == ("teacher", "knn_top1"):
            row |= {"low": 76.1, "high": 77.9}
    return CardInputs(
        run=RUN,
        dataset=read_json(project.data("digits") / "dataset.json"),
        model={
            "architecture": "vit_tiny_patch16_224",
            "pretrained_cfg": {"input_size": [3, 28, 28]},
        },
        knn=knn,
        **results,
        pretrain={
            "parameters": {"pretrain": plain(PretrainConfig(epochs=17, batch_size=64))},
            "git": {"commit": "c0ffee", "dirty": False},
            "packages": {"torch": "2.0", "timm": "1.0"},
            "python": "3.12",
            "seed": 3,
            "device": "cpu",
            "data": "ab" * 32,
        },
        export={
            "parameters": {"architecture": plain(ArchitectureConfig(**ARCHITECTURE))},
            "checkpoint": "12" * 32,
        },
    )


def _front_matter(card: str) -> Any:
    _, front, _ = card.split("---\n", 2)
    return yaml.safe_load(front)


def test_front_matter_is_read_by_the_hub(inputs: CardInputs) -> None:
    front = _front_matter(model_card(inputs))
    assert front["library_name"] == "timm"
    (result,) = front["model-index"][0]["results"]
    assert result["dataset"] == {"name": "digits", "type": "digits", "split": "test"}
    assert {m["name"]: m["value"] for m in result["metrics"]} == {
        "k-NN top-1, k = 20": 77.0,
        "Linear top-1, last epoch": 78.0,
        "Linear top-1, best epoch on val": 78.26,
        "Jaccard of the [CLS] attention": 45.0,
    }


def test_card_has_metrics_beside_their_baseline_data_parameters_and_origin(
    inputs: CardInputs,
) -> None:
    card = model_card(inputs)
    assert "| k-NN top-1, k = 20 | 77.00 | 76.10 to 77.90 | 69.00 | +8.00 |" in card
    assert "`digits`: 1000 train, 200 val, 597 test images, 10 classes" in card
    assert "ab" * 32 in card
    assert '"epochs": 17' in card
    assert "seed 3, device cpu" in card
    assert "commit: `c0ffee`\n" in card
    assert "timm 1.0, torch 2.0" in card
    assert f'load_teacher("artifacts/{RUN}/teacher")' in card
    assert "Trained on a processor" in card
    assert card == model_card(inputs)


def test_uncommitted_changes_and_other_data_are_said(inputs: CardInputs) -> None:
    pretrain = {**inputs.pretrain, "git": {"commit": "c0ffee", "dirty": True}, "data": "cd" * 32}
    card = model_card(replace(inputs, pretrain=pretrain))
    assert "`c0ffee`, with changes that were not committed" in card
    assert f"trained on other data: `{'cd' * 32}`" in card


def test_what_was_not_measured_says_why(inputs: CardInputs) -> None:
    no_labels = {"reason": "the data set has no labels", "scores": []}
    nothing = {"reason": "no [CLS]"}
    card = model_card(
        replace(
            inputs,
            knn=no_labels,
            linear=no_labels,
            attention={"reason": None, "scores": [], "teacher": nothing, "random_init": nothing},
            dataset={**inputs.dataset, "classes": []},
        )
    )
    assert _front_matter(card)["model-index"][0]["results"] == []
    assert "Not measured: k-NN top-1 (the data set has no labels)." in card
    assert "Not measured: Jaccard of the [CLS] attention (no [CLS])." in card
    assert "no classes" in card


def test_a_teacher_from_elsewhere_names_its_source(inputs: CardInputs) -> None:
    architecture = plain(ArchitectureConfig(**ARCHITECTURE, weights={"file": "vits16.pth"}))
    export = {**inputs.export, "parameters": {"architecture": architecture}}
    pretrain = {**inputs.pretrain, "weights": "ef" * 32, "parameters": {}}
    del pretrain["data"]
    card = model_card(replace(inputs, export=export, pretrain=pretrain))
    assert "Not trained here. The weights are the teacher in `vits16.pth`" in card
    assert "ef" * 32 in card
    assert "Evaluated on `digits`" in card
    assert "Trained on a processor" not in card
    assert "up to timm's network" in card
