"""The stages that classify features, and raw pixels beside them: what they write."""

from pathlib import Path

import pytest
import torch

from dino.core.artifacts import read_json, write_json
from dino.core.configuration.parameters import Parameters
from dino.core.configuration.section import parse
from dino.core.errors import DataError
from dino.core.paths import MODELS, TEACHER, Project
from dino.data.dataset import DESCRIPTION, PreparedDataset
from dino.data.preparation import prepare
from dino.data.sources.digits import digits
from dino.features.feature_set import FeatureSet
from dino.features.teacher import save_backbone
from dino.model.backbone import build_backbone
from dino.stages import baselines, knn, linear, linear_paper, low_shot
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
    assert set(MODELS) < set(result)
    provenance = read_json(project.run(RUN.name).provenance(stage))
    assert provenance["models"] == dict.fromkeys(MODELS, "ab" * 32)


def test_without_labels_raw_pixels_have_a_reason_and_masks_a_score(unlabelled: Project) -> None:
    baselines.execute(unlabelled, PARAMETERS)
    result = read_json(unlabelled.results / "baselines.json")
    assert result["raw_pixels"] == {"reason": "the data set has no labels"}
    assert result["otsu"]["jaccard"] > 0


def test_raw_pixels_are_classified_with_few_labels_too(project: Project) -> None:
    baselines.execute(project, PARAMETERS)
    raw_pixels = read_json(project.results / "baselines.json")["raw_pixels"]
    assert set(raw_pixels) == {"knn", "linear", "low_shot", "class_map", "robustness"}
    assert raw_pixels["knn"]["leave_one_out"]["3"]["top1"] > 50


def test_features_of_another_teacher_are_refused(project: Project) -> None:
    with pytest.raises(DataError, match=r"made by another network .* run `dino features` again"):
        linear_paper.execute(project, PARAMETERS, RUN)


def test_the_record_names_what_was_used_beside_the_stages_own_section(project: Project) -> None:
    for stage, sections in (("knn", {"knn"}), ("linear_paper", {"linear_paper", "features"})):
        evaluation = Evaluation(project, PARAMETERS, RUN, stage)
        uses = tuple(sections - {stage})
        evaluation.network(TEACHER)
        evaluation.save([], {"answer": 1}, uses=uses)
        record = read_json(project.run(RUN.name).provenance(stage))
        assert set(record["parameters"]) == sections
        assert set(record["models"]) == {TEACHER}
        expected = {"reason": None, "scores": [], "answer": 1}
        assert read_json(project.run(RUN.name).result(stage)) == expected
