"""The two stages on exported networks: equal bytes."""

from pathlib import Path
from typing import Any

import pytest
import torch

from dino.core.artifacts import read_json
from dino.core.configuration.parameters import Parameters
from dino.core.configuration.section import parse
from dino.core.paths import MODELS, Project
from dino.data.preparation import prepare
from dino.data.sources.digits import digits
from dino.features.teacher import save_backbone
from dino.model.backbone import build_backbone
from dino.stages import features, finetune, robustness

VALUES: dict[str, Any] = {
    "runs": {"architecture": ["tiny"], "variant": ["dino"], "seed": [0]},
    "architectures": {
        "tiny": {
            "timm_name": "vit_tiny_patch16_224",
            "image_size_px": 8,
            "patch_size_px": 2,
            "embed_dim": 16,
            "depth": 2,
            "num_heads": 2,
        }
    },
    "datasets": {
        "digits": {
            "source": "digits",
            "val_images": 50,
            "max_train_images": 100,
            "max_test_images": 60,
        },
    },
    "features": {"resize_px": 8, "crop_px": 8, "last_blocks": 1},
    "finetune": {"epochs": 2, "batch_size": 50, "warmup_epochs": 1, "resize_px": 8, "crop_px": 8},
    "robustness": {"images": 10, "neighbours": 5},
}
PARAMETERS = parse(Parameters, VALUES, where="")
(RUN,) = PARAMETERS.all_runs()


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """What prepare, pretrain and export would leave."""
    project = Project(root=tmp_path)
    prepare(digits(), PARAMETERS.datasets["digits"], project.data("digits"))
    for seed, model in enumerate(MODELS):
        torch.manual_seed(seed)
        architecture = PARAMETERS.architectures["tiny"]
        weights = build_backbone(architecture).state_dict()
        save_backbone(project.run(RUN.name).model(model), architecture, weights)
    return project


def test_two_executions_write_the_same_bytes(project: Project) -> None:
    features.execute(project, PARAMETERS, RUN)
    paths = [project.run(RUN.name).result(stage) for stage in ("finetune", "robustness")]
    written = []
    for _ in range(2):
        finetune.execute(project, PARAMETERS, RUN)
        robustness.execute(project, PARAMETERS, RUN)
        written.append([path.read_bytes() for path in paths])
    assert written[0] == written[1]
    assert read_json(paths[0])["train_images"] == 100
    assert read_json(paths[1])["images"] == 10
