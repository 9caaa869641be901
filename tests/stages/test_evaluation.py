"""The stages that classify features, and raw pixels beside them: what they write."""

from pathlib import Path

import pytest
import torch

from dino.core.artifacts import read_json, write_json
from dino.core.configuration.parameters import Parameters
from dino.core.configuration.section import parse
from dino.core.errors import DataError
from dino.core.paths import MODELS, TEACHER, Project
from dino.core.provenance import plain
from dino.core.score import Score
from dino.data.dataset import DESCRIPTION, PreparedDataset
from dino.data.preparation import prepare
from dino.data.sources.digits import digits
from dino.features.feature_set import FeatureSet
from dino.features.teacher import save_backbone
from dino.model.backbone import build_backbone
from dino.stages import baselines, knn, linear, linear_paper, low_shot
from dino.stages.baselines import SCORED_AS
from dino.stages.evaluation import Evaluation

PARAMETERS = parse(
    Parameters,
    {
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
        "datasets": {"digits": {"source": "digits", "val_images": 20, "max_train_images": 80}},
        "pretrain": {"crops": {"global_size_px": 8, "local_size_px": 4}},
        "features": {"resize_px": 8, "crop_px": 8, "last_blocks": 1},
        "knn": {"neighbours": [3], "headline": 3, "leave_one_out": True},
        "linear": {"epochs": 2},
        "linear_paper": {"epochs": 1},
        "low_shot": {"draws": 2},
        "attention": {"image_size_px": 8},
    },
    where="",
)
RUN = PARAMETERS.all_runs()[0]
STAGES = {"knn": knn, "linear": linear, "low_shot": low_shot, "linear_paper": linear_paper}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Features of noise, said to be those of an untrained backbone."""
    project = Project(root=tmp_path)
    prepare(digits(), PARAMETERS.datasets["digits"], project.data("digits"))
    paths, dataset = project.run(RUN.name), PreparedDataset.open(project.data("digits"))
    architecture = PARAMETERS.architectures["tiny"]
    generator = torch.Generator().manual_seed(0)
    for model in MODELS:
        save_backbone(paths.model(model), architecture, build_backbone(architecture).state_dict())
        FeatureSet(
            cls_tokens=torch.randn(len(dataset), 1, 16, generator=generator),
            patch_mean=torch.zeros(len(dataset), 16),
            data=dataset.fingerprint,
            model="ab" * 32,
        ).save(paths.features(model))
    return project


@pytest.fixture
def unlabelled(project: Project) -> Project:
    path = project.data("digits") / DESCRIPTION
    write_json(path, {**read_json(path), "classes": []})
    return project


@pytest.mark.parametrize("stage", ["knn", "linear", "low_shot"])
def test_teacher_and_random_init_are_scored(stage: str, project: Project) -> None:
    STAGES[stage].execute(project, PARAMETERS, RUN)
    result = read_json(project.run(RUN.name).result(stage))
    assert {row["model"] for row in result["scores"]} == set(MODELS)
    assert all(row["low"] <= row["value"] <= row["high"] for row in result["scores"] if row["low"])
    provenance = read_json(project.run(RUN.name).provenance(stage))
    assert provenance["models"] == dict.fromkeys(MODELS, "ab" * 32)


def test_without_labels_raw_pixels_have_a_reason_and_masks_a_score(unlabelled: Project) -> None:
    baselines.execute(unlabelled, PARAMETERS)
    result = read_json(unlabelled.results / "baselines.json")
    assert result["raw_pixels"] == {"reason": "the data set has no labels"}
    assert {row["model"] for row in result["scores"]} == {"centre_box", "otsu"}
    assert all(row["value"] > 0 for row in result["scores"])


def test_raw_pixels_are_classified_with_few_labels_too(project: Project) -> None:
    baselines.execute(project, PARAMETERS)
    rows = read_json(project.results / "baselines.json")["scores"]
    of_pixels = [row for row in rows if row["model"] == "raw_pixels"]
    assert {row["evaluation"] for row in of_pixels} == set(SCORED_AS) - {"attention"}
    (left_out,) = (
        row for row in of_pixels if (row["setting"], row["metric"]) == ("split=train, k=3", "top1")
    )
    assert left_out["value"] > 50
    assert left_out["n"] == 80


def test_features_of_another_teacher_are_refused(project: Project) -> None:
    with pytest.raises(DataError, match=r"made by another network .* run `dino features` again"):
        linear_paper.execute(project, PARAMETERS, RUN)


def test_the_record_names_what_was_used_beside_the_stages_own_section(project: Project) -> None:
    for stage, sections in (("knn", {"knn"}), ("linear_paper", {"linear_paper", "features"})):
        evaluation = Evaluation(project, PARAMETERS, RUN, stage)
        uses = tuple(sections - {stage})
        evaluation.network(TEACHER)
        score = Score(model=TEACHER, metric="top1", value=None)
        evaluation.save([score], {"epochs": 3}, uses=uses)
        record = read_json(project.run(RUN.name).provenance(stage))
        assert set(record["parameters"]) == sections
        assert set(record["models"]) == {TEACHER}
        result = read_json(project.run(RUN.name).result(stage))
        assert result == {"reason": None, "scores": [plain(score)], "epochs": 3}
