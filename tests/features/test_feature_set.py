from pathlib import Path

import pytest
import torch

from dino.core.errors import DataError
from dino.features.feature_set import FeatureSet, load_features


@pytest.fixture
def features() -> FeatureSet:
    return FeatureSet(
        cls_tokens=torch.randn(5, 2, 3), patch_mean=torch.randn(5, 3), data="d", model="m"
    )


def test_features_come_back_as_they_were(features: FeatureSet, tmp_path: Path) -> None:
    features.save(tmp_path / "f.safetensors")
    loaded = load_features(tmp_path / "f.safetensors", data="d")
    assert torch.equal(loaded.cls_tokens, features.cls_tokens)
    assert torch.equal(loaded.patch_mean, features.patch_mean)
    assert loaded.model == "m"


def test_features_of_other_data_are_refused(features: FeatureSet, tmp_path: Path) -> None:
    features.save(tmp_path / "f.safetensors")
    with pytest.raises(DataError, match="made from other data"):
        load_features(tmp_path / "f.safetensors", data="other")


def test_truncated_features_are_refused(features: FeatureSet, tmp_path: Path) -> None:
    path = tmp_path / "f.safetensors"
    features.save(path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match="not a whole file"):
        load_features(path, data="d")


def test_missing_features_name_the_stage_that_makes_them(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="run `dino features`"):
        load_features(tmp_path / "f.safetensors", data="d")
