"""Folders of anything go through every stage: hostile images, few labels, and none."""

import csv
import json
import os

import numpy as np
import pytest
from PIL import Image

from dino import stage_command
from dino.core.configuration.parameters import Parameters
from dino.core.configuration.section import parse
from dino.core.errors import DataError
from dino.core.paths import Project
from dino.core.stages import PER_RUN, STAGES
from dino.data.dataset import PreparedDataset
from dino.stages import prepare

PARAMETERS = {
    "runs": {"architecture": ["tiny"], "variant": ["dino"], "seed": [0]},
    "architectures": {
        "tiny": {
            "timm_name": "vit_tiny_patch16_224",
            "image_size_px": 8,
            "patch_size_px": 4,
            "embed_dim": 16,
            "depth": 2,
            "num_heads": 2,
            "drop_path": 0.0,
        }
    },
    "pretrain": {
        "epochs": 1,
        "batch_size": 32,
        "precision": "float32",
        "online_knn_every_epochs": 1,
        "online_knn_bank": 50,
        "crops": {"global_size_px": 8, "local_size_px": 4, "local_crops": 1},
        "head": {"out_dim": 16, "hidden_dim": 16, "bottleneck_dim": 8},
        "optimizer": {"learning_rate": 0.001, "warmup_epochs": 0},
    },
    "features": {"resize_px": 8, "crop_px": 8, "last_blocks": 1},
    "knn": {"neighbours": [5], "headline": 5},
    "linear": {"epochs": 2, "batch_size": 20},
    "linear_paper": {"epochs": 2, "batch_size": 20},
    "low_shot": {"fractions": [0.5], "draws": 2},
    "attention": {"image_size_px": 8, "images": 10},
    "finetune": {"epochs": 2, "batch_size": 10, "warmup_epochs": 1, "resize_px": 8, "crop_px": 8},
    "robustness": {"images": 10, "neighbours": 5},
}
LABELLED = ("knn", "linear", "linear_paper", "low_shot", "class_map", "finetune", "robustness")


def _parameters(**values):
    return parse(Parameters, {**PARAMETERS, "datasets": {"photos": values}}, "params.yaml")


def _execute(project, parameters):
    """Every stage; returns the summary, and the results of the stages that need labels."""
    (run,) = parameters.all_runs()
    for name in STAGES:
        of = run if name in PER_RUN else "photos" if name == "prepare" else None
        stage_command.execute(project, parameters, name, of)
    paths = project.run(run.name)
    summary = json.loads((project.results / "summary.json").read_text())
    results = {stage: json.loads(paths.result(stage).read_text()) for stage in LABELLED}
    return summary["runs"][run.name], results


def _online_top1(project, run):
    with project.run(run.name).training_log.open(newline="") as stream:
        return [row["online_knn_top1"] for row in csv.DictReader(stream)]


@pytest.fixture
def images(tmp_path):
    """200 files in two folders: every fifth is hostile, some in a way that can be read."""
    rng = np.random.default_rng(0)
    root = tmp_path / "images"
    bad = 0
    for index in range(200):
        folder = root / ("day & night", "größe")[index % 2]
        folder.mkdir(parents=True, exist_ok=True)
        size = [(30, 20), (1, 1), (500, 1), (9, 40)][index % 4]
        pixels = rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
        image = Image.fromarray(pixels)
        if index % 5:
            image.convert("L" if index % 3 == 0 else "RGB").save(folder / f"{index} a.png")
            continue
        hostile = index // 5 % 8
        path = folder / f"{index}.jpg"
        bad += hostile >= 3
        if hostile == 0:
            image.convert("CMYK").save(path)
        elif hostile == 1:
            image.convert("P").save(path.with_suffix(".png"), transparency=1)
        elif hostile == 2:
            Image.fromarray(pixels[..., 0].astype(np.uint16) * 257).save(path.with_suffix(".png"))
        elif hostile == 3:
            path.touch()
        elif hostile == 4:
            path.write_text("no image")
        elif hostile == 5:
            path.symlink_to("nowhere")
        elif hostile == 6:
            path.mkdir()
        else:
            image.resize((64, 64)).save(path)
            os.truncate(path, path.stat().st_size // 2)
    return root, bad


def test_no_stage_dies_of_an_image(tmp_path, images):
    root, bad = images
    project = Project(root=tmp_path)
    split = {"val_images": 20, "test_images": 20}
    parameters = _parameters(source="class_folders", path=str(root), **split)
    scores, _ = _execute(project, parameters)
    dataset = PreparedDataset.open(project.data("photos"))
    assert dataset.classes == ("day & night", "größe")
    assert len(dataset) == 200 - bad
    with (project.data("photos") / "quarantine.csv").open(newline="") as stream:
        assert len(list(csv.DictReader(stream))) == bad
    for score in ("knn_top1", "linear_top1", "linear_paper_top1", "low_shot_50_top1"):
        assert 0 <= scores[f"{score}_low"] <= scores[score] <= scores[f"{score}_high"] <= 100
    assert scores["finetune_top1"] is not None
    assert scores["robustness_top1"] is not None
    assert scores["attention_jaccard"] is None
    (run,) = parameters.all_runs()
    assert all(0 <= float(top1) <= 100 for top1 in _online_top1(project, run))
    strict = _parameters(source="class_folders", path=str(root), strict=True, **split)
    with pytest.raises(DataError, match=rf"datasets\.photos: strict: {bad} images in quarantine"):
        prepare.execute(project, strict, "photos")


@pytest.mark.parametrize("storage", ["copy", "index", "pack"])
def test_without_labels_every_stage_says_so_or_does_without(tmp_path, images, storage):
    root, _ = images
    project = Project(root=tmp_path)
    parameters = _parameters(
        source="folder", path=str(root), val_images=20, test_images=20, storage=storage
    )
    scores, results = _execute(project, parameters)
    dataset = PreparedDataset.open(project.data("photos"))
    assert dataset.classes == ()
    assert (dataset.labels("train") == -1).all()
    (run,) = parameters.all_runs()
    assert set(_online_top1(project, run)) == {""}
    nothing = {"reason": "the data set has no labels", "scores": []}
    assert all(result == nothing for result in results.values())
    assert set(scores.values()) == {None}


def test_unlabelled_training_images_are_trained_on_and_not_classified_by(tmp_path, images):
    root, _ = images
    good = sorted(root.rglob("* a.png"))
    rows = [
        (path.relative_to(root), path.parent.name if index % 4 or split != "train" else "", split)
        for index, path in enumerate(good)
        for split in ["test" if index % 5 == 0 else "val" if index % 5 == 1 else "train"]
    ]
    with (root / "images.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([("path", "label", "split"), *rows])
    project = Project(root=tmp_path)
    parameters = _parameters(source="manifest", path=str(root / "images.csv"))
    scores, results = _execute(project, parameters)
    labels = PreparedDataset.open(project.data("photos")).labels("train")
    assert 0 < (labels < 0).sum() < len(labels)
    assert results["finetune"]["train_images"] == (labels >= 0).sum()
    assert all(scores[key] is not None for key in ("knn_top1", "linear_paper_top1"))
    assert scores["robustness_top1"] is not None
