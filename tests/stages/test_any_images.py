"""Folders of anything go through the first stages: hostile images in classes, and no labels."""

import csv
import os

import numpy as np
import pytest
from PIL import Image

from dino.core.configuration.parameters import Parameters
from dino.core.configuration.section import parse
from dino.core.errors import DataError
from dino.core.paths import MODELS, Project
from dino.data.dataset import PreparedDataset
from dino.features.feature_set import load_features
from dino.stages import export, features, prepare, pretrain

PARAMETERS = {
    "runs": {"architecture": ["tiny"]},
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
}


def _parameters(**prepare_values):
    return parse(Parameters, {**PARAMETERS, "prepare": prepare_values}, "params.yaml")


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


def test_a_training_never_dies_of_an_image(tmp_path, images):
    root, bad = images
    project = Project(root=tmp_path)
    split = {"val_images": 20, "test_images": 20}
    parameters = _parameters(source="class_folders", path=str(root), **split)
    (run,) = parameters.all_runs()
    prepare.execute(project, parameters)
    dataset = PreparedDataset.open(project.data)
    assert dataset.classes == ("day & night", "größe")
    assert len(dataset) == 200 - bad
    with (project.data / "quarantine.csv").open(newline="") as stream:
        assert len(list(csv.DictReader(stream))) == bad
    pretrain.execute(project, parameters, run)
    assert all(0 <= float(top1) <= 100 for top1 in _online_top1(project, run))
    strict = _parameters(source="class_folders", path=str(root), strict=True, **split)
    with pytest.raises(DataError, match=rf"prepare\.strict: {bad} images in quarantine"):
        prepare.execute(project, strict)


@pytest.mark.parametrize("storage", ["copy", "index", "pack"])
def test_a_folder_without_labels_has_features(tmp_path, images, storage):
    root, _ = images
    project = Project(root=tmp_path)
    parameters = _parameters(
        source="folder", path=str(root), val_images=20, test_images=20, storage=storage
    )
    (run,) = parameters.all_runs()
    prepare.execute(project, parameters)
    dataset = PreparedDataset.open(project.data)
    assert dataset.classes == ()
    assert (dataset.labels("train") == -1).all()
    pretrain.execute(project, parameters, run)
    assert set(_online_top1(project, run)) == {""}
    export.execute(project, parameters, run)
    features.execute(project, parameters, run)
    for model in MODELS:
        found = load_features(project.run(run.name).features(model), dataset.fingerprint)
        assert len(found.cls_tokens) == len(dataset)
