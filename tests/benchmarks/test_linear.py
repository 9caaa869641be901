import shutil
from pathlib import Path

import pytest
import torch
import yaml

from benchmarks import linear
from dino.core.configuration.parameters import read_parameters
from dino.core.errors import DinoError
from dino.core.paths import TEACHER, Project
from dino.core.seeding import seeded
from dino.data.dataset import PreparedDataset
from dino.data.preparation import prepare
from dino.data.sources.digits import digits
from dino.features.global_features import extract_features
from dino.features.teacher import load_backbone, save_backbone
from dino.model.backbone import build_backbone

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
        }
    },
    "datasets": {"digits": {"source": "digits", "val_images": 20, "max_train_images": 60}},
    "pretrain": {"crops": {"global_size_px": 8, "local_size_px": 4}},
    "features": {"resize_px": 8, "crop_px": 8, "last_blocks": 1},
    "attention": {"image_size_px": 8},
    "linear": {"epochs": 4, "batch_size": 20, "learning_rates": [0.1]},
    "linear_paper": {"epochs": 2, "batch_size": 20, "learning_rates": [0.1]},
}


def _project(root: Path) -> Project:
    project = Project(root=root)
    project.parameters.write_text(yaml.safe_dump(PARAMETERS))
    parameters = read_parameters(project.parameters)
    prepare(digits(), parameters.datasets["digits"], project.data("digits"))
    paths = project.run("tiny-dino-s0")
    architecture = parameters.architectures["tiny"]
    with seeded(0):
        save_backbone(paths.model(TEACHER), architecture, build_backbone(architecture).state_dict())
    backbone, dataset = (
        load_backbone(paths.model(TEACHER)),
        PreparedDataset.open(project.data("digits")),
    )
    features = extract_features({"m": backbone}, {"m": "abc"}, dataset, parameters.features)
    features["m"].save(paths.features(TEACHER))
    return project


def test_ratio_and_accuracies_of_both_protocols_stand_together(tmp_path):
    threads = torch.get_num_threads()
    project = _project(tmp_path)
    result = linear.measure(["linear_cached"], rounds=1, root=tmp_path)["linear_cached"]
    torch.set_num_threads(threads)
    assert result["ratio"] == pytest.approx(result["textbook_s"] / result["ours_s"])
    assert result["epochs"] == 2
    assert result["top1_difference"] == pytest.approx(result["ours_top1"] - result["textbook_top1"])
    shutil.rmtree(project.run("tiny-dino-s0").artifacts)
    with pytest.raises(DinoError, match="run `dino features`"):
        linear.measure(["linear_cached"], rounds=1, root=tmp_path)
