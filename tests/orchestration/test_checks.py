import copy
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image
from safetensors.numpy import save_file
from workplace import PARAMETERS, ROOT, RUN

from dino.core.artifacts import sha256_of_file, write_json
from dino.core.configuration.parameters import Parameters
from dino.core.configuration.section import parse
from dino.core.errors import DinoError
from dino.core.paths import MODELS, Project
from dino.core.pipeline import Target
from dino.orchestration.checks import ensure_possible, problems, steps_from

CLASSES = ("cat", "dog")
GROUPS = {"animals": list(CLASSES)}


@pytest.fixture
def project(tmp_path):
    return Project(root=tmp_path)


@pytest.fixture
def photos(tmp_path):
    """Ten images of each of two classes."""
    for name in CLASSES:
        folder = tmp_path / "photos" / name
        folder.mkdir(parents=True)
        for index in range(10):
            Image.new("RGB", (8, 8), (index, 0, 0)).save(folder / f"{index}.png")
    return tmp_path / "photos"


def _parameters(changes):
    values = copy.deepcopy(PARAMETERS)
    values["datasets"] = {"photos": {}}
    values["pretrain"]["dataset"] = "photos"
    values["class_map"]["superclasses"] = None
    for key, value in changes.items():
        *sections, last = key.split(".")
        section = values
        for name in sections:
            section = section.setdefault(name, {})
        section[last] = value
    return parse(Parameters, values, where="")


def _of_photos(photos, changes):
    small = {
        "datasets.photos": {
            "source": "class_folders",
            "path": str(photos),
            "val_images": 4,
            "test_images": 4,
        },
        "pretrain.batch_size": 8,
        "finetune.batch_size": 8,
    }
    return _parameters(small | changes)


def _found(project, parameters, stage, run=None):
    target = Target(stage, run, "photos" if stage == "prepare" else None)
    steps = steps_from(parameters, target)
    return [str(error) for error in problems(project, parameters, steps)]


def _prepared(project, classes=CLASSES, train=(0, 1) * 10, val=(0, 1), test=(0, 1)):
    """The files of `dino prepare` that checks look at."""
    rows = [(s, y) for s, ys in (("train", train), ("val", val), ("test", test)) for y in ys]
    folder = project.data("photos")
    folder.mkdir(parents=True)
    pd.DataFrame(rows, columns=["split", "label"]).to_parquet(folder / "manifest.parquet")
    write_json(folder / "dataset.json", {"classes": list(classes)})


def test_a_good_folder_is_refused_by_nothing(project, photos):
    before = sorted(project.root.rglob("*"))
    assert _found(project, _of_photos(photos, {}), "prepare") == []
    assert sorted(project.root.rglob("*")) == before


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"datasets.photos.path": "/nowhere"}, "datasets.photos: path: /nowhere does not exist"),
        (
            {"datasets.photos.val_images": 100},
            "datasets.photos: val_images: expected fewer than the 16",
        ),
        (
            {"datasets.photos.test_images": 100},
            "datasets.photos: test_images: expected fewer than the 20",
        ),
        (
            {"datasets.photos.test_images": None},
            "datasets.photos: test_images: class_folders has no test split",
        ),
        (
            {"datasets.photos.max_test_images": 1},
            "expected images of every class in the test split",
        ),
        ({"pretrain.batch_size": 16}, "pretrain.batch_size: expected at most the 12 training"),
        ({"finetune.batch_size": 16}, "finetune.batch_size: expected at most the 12 labelled"),
        ({"finetune.max_train_images": 4}, "finetune.batch_size: expected at most the 4 labelled"),
        ({"pretrain.initial": "no.pth"}, "pretrain.initial: "),
        (
            {"class_map.superclasses": {"clothes": ["Bag", "Coat"]}},
            "class_map.superclasses: expected the data set's classes (cat, dog), got Bag, Coat "
            "which the data set does not have; correct the names, or set class_map.superclasses "
            "to null",
        ),
        ({"class_map.superclasses": {"pets": ["cat"]}}, "got dog in none of them"),
        # a petabyte of checkpoints
        (
            {
                "pretrain.head": {"out_dim": 2**24, "bottleneck_dim": 4096},
                "pretrain.checkpoints": {"keep": 1000},
            },
            "pretrain: needs about ",
        ),
    ],
)
def test_what_would_fail_later_is_told_before_prepare(project, photos, changes, told):
    found = _found(project, _of_photos(photos, changes), "prepare")
    assert len(found) == 1
    assert told in found[0]
    assert "\n" not in found[0]


def test_a_published_source_is_known_before_it_is_fetched(project):
    changes = {"datasets.photos": {"val_images": 60000}}
    found = _found(project, _parameters(changes), "prepare")
    told = "val_images: expected fewer than the 60000 training images, got 60000"
    assert found == [f"datasets.photos: {told}"]
    assert not project.downloads.exists()


def test_files_that_are_not_there_are_counted(project, photos):
    table = pd.DataFrame({"path": [f"gone/{index}.png" for index in range(20)]})
    table.to_csv(photos / "table.csv", index=False)
    table_of = {"source": "manifest", "path": str(photos / "table.csv")}
    changes = {f"datasets.photos.{key}": value for key, value in table_of.items()}
    found = _found(project, _of_photos(photos, changes), "prepare")
    assert len(found) == 1
    assert "none of the 12 train images" in found[0]


def test_what_is_switched_off_needs_nothing(project, photos):
    changes = {"finetune.batch_size": 500, "class_map.superclasses": {"clothes": ["Bag"]}}
    assert len(_found(project, _of_photos(photos, changes), "prepare")) == 2
    changes |= {"finetune.enabled": False, "class_map.enabled": False}
    assert _found(project, _of_photos(photos, changes), "prepare") == []


def test_the_source_does_not_matter_once_it_is_prepared(project):
    _prepared(project)
    parameters = _of_photos(project.root / "gone", {})
    assert _found(project, parameters, "pretrain", RUN) == []
    assert _found(project, parameters, "prepare") != []


def test_images_without_a_label_stop_what_classifies_them(project):
    _prepared(project, test=(0, -1))
    parameters = _of_photos(project.root, {})
    told = "1 of 2 test images have no label"
    for stage in ("pretrain", "knn", "linear", "low_shot", "linear_paper", "robustness"):
        (found,) = _found(project, parameters, stage, RUN)
        assert told in found
    assert _found(project, parameters, "attention", RUN) == []


def test_a_data_set_without_labels_is_not_asked_for_classes(project):
    _prepared(project, classes=(), train=(-1,) * 20, val=(-1,), test=(-1,))
    changes = {"class_map.superclasses": {"clothes": ["Bag"]}}
    assert _found(project, _of_photos(project.root, changes), "pretrain", RUN) == []


def test_processes_divide_the_batch(project, monkeypatch):
    _prepared(project)
    monkeypatch.setenv("WORLD_SIZE", "3")
    (found,) = _found(project, _of_photos(project.root, {}), "pretrain", RUN)
    assert found == "pretrain.batch_size: expected a multiple of the 3 processes, got 8"


def test_weights_have_the_checksum_that_is_written(project):
    _prepared(project)
    weights = project.root / "teacher.pth"
    weights.write_bytes(b"weights")
    given = {"file": str(weights), "sha256": sha256_of_file(weights)}
    changes = {"architectures.tiny.weights": given, "pretrain.batch_size": 500}
    assert _found(project, _of_photos(project.root, changes), "pretrain", RUN) == []
    weights.write_bytes(b"other weights")
    (found,) = _found(project, _of_photos(project.root, changes), "pretrain", RUN)
    assert "expected the SHA-256" in found
    weights.unlink()
    (found,) = _found(project, _of_photos(project.root, changes), "pretrain", RUN)
    assert f"{weights} not found" in found


@pytest.fixture
def exported(project):
    """Networks and features that belong together, with what their stages noted of them."""
    _prepared(project)
    paths = project.run(RUN)
    for model in MODELS:
        paths.model(model).mkdir(parents=True)
        paths.features(model).parent.mkdir(parents=True, exist_ok=True)
        weights = paths.model(model) / "model.safetensors"
        save_file({"weight": np.arange(4.0)}, weights)
        about = {"data": "d", "model": sha256_of_file(weights)}
        save_file({"cls_tokens": np.zeros(1)}, paths.features(model), about)
    paths.checkpoint.write_bytes(b"checkpoint")
    pretrain = {"checkpoint": sha256_of_file(paths.checkpoint)}
    write_json(paths.provenance("pretrain"), pretrain)
    models = {m: sha256_of_file(paths.model(m) / "model.safetensors") for m in MODELS}
    write_json(paths.provenance("export"), {"models": models})
    return paths


def _flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("stage", "told"),
    [
        ("features", "expected the SHA-256"),
        ("attention", "expected the SHA-256"),
        ("finetune", "expected the SHA-256"),
        ("robustness", "made by another network"),
        ("linear_paper", "made by another network"),
        ("knn", "made by another network"),
        ("class_map", "made by another network"),
        ("card", "made by another network"),
    ],
)
def test_a_flipped_bit_in_the_teacher_is_found(project, exported, stage, told):
    parameters = _of_photos(project.root, {})
    assert _found(project, parameters, stage, RUN) == []
    _flip_a_bit(exported.model("teacher") / "model.safetensors")
    assert told in _found(project, parameters, stage, RUN)[0]
    # what makes the teacher anew does not mind
    assert _found(project, parameters, "export", RUN) == []


def test_a_flipped_bit_in_the_checkpoint_is_found(project, exported):
    parameters = _of_photos(project.root, {})
    assert _found(project, parameters, "export", RUN) == []
    _flip_a_bit(exported.checkpoint)
    assert "checkpoint.pth: expected the SHA-256" in _found(project, parameters, "export", RUN)[0]
    assert _found(project, parameters, "pretrain", RUN) == []


def test_the_first_problem_is_told_with_the_number_of_others(project, photos):
    parameters = _of_photos(photos, {"pretrain.batch_size": 500, "finetune.batch_size": 500})
    steps = steps_from(parameters, Target("prepare", None, "photos"))
    with pytest.raises(DinoError, match=r"pretrain\.batch_size.* \(and 1 more: `dino doctor`"):
        ensure_possible(project, parameters, steps)


def test_checking_loads_neither_torch_nor_what_a_training_does_not(project, photos):
    _prepared(project)
    (project.root / "params.json").write_text(
        json.dumps(copy.deepcopy(PARAMETERS) | {"class_map": {}})
    )
    script = """
import json, sys
from pathlib import Path
from dino.core.configuration.parameters import Parameters
from dino.core.configuration.section import parse
from dino.core.paths import Project
from dino.core.pipeline import Target
from dino.orchestration.checks import problems, steps_from
parameters = parse(Parameters, json.loads(Path("params.json").read_text()), where="")
for target in (Target("pretrain", sys.argv[1]), Target("prepare", None, "digits")):
    list(problems(Project(root=Path.cwd()), parameters, steps_from(parameters, target)))
    print(*sorted(m for m in sys.modules if m == "torch" or m.startswith("dino.data.")))
"""
    done = subprocess.run(
        [sys.executable, "-c", script, RUN],
        cwd=project.root,
        env=os.environ,
        capture_output=True,
        text=True,
        check=True,
    )
    of_pretrain, of_prepare = done.stdout.splitlines()
    code = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]["pretrain"]["deps"]
    known = {path.removeprefix("src/").removesuffix(".py").replace("/", ".") for path in code}
    assert of_pretrain
    assert set(of_pretrain.split()) <= known
    assert "torch" not in of_prepare.split()
