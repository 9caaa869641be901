import pandas as pd
import pytest
import torch

from dino.core.errors import DataError
from dino.features.labelled_splits import labelled_splits


def _manifest(splits: list[str], labels: list[int]) -> pd.DataFrame:
    return pd.DataFrame({"split": splits, "label": labels})


def test_rows_go_to_the_split_of_the_manifest() -> None:
    manifest = _manifest(["train", "test", "train", "val"], [1, 0, 0, 1])
    splits = labelled_splits(torch.arange(4.0)[:, None], manifest, ("a", "b"))
    assert splits.train.features.flatten().tolist() == [0, 2]
    assert splits.train.labels.tolist() == [1, 0]
    assert splits.val.features.flatten().tolist() == [3]
    assert splits.test.features.flatten().tolist() == [1]
    assert splits.classes == 2


def test_training_images_without_a_label_are_left_out() -> None:
    manifest = _manifest(["train", "train", "train", "test", "val"], [0, -1, 1, 0, 1])
    splits = labelled_splits(torch.arange(5.0)[:, None], manifest, ("a", "b"))
    assert splits.train.features.flatten().tolist() == [0, 2]
    assert splits.train.labels.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("splits", "labels", "message"),
    [
        (["train", "train", "val"], [0, 1, 0], "the test split is empty"),
        (["train", "train", "val", "test"], [0, 0, 0, 1], "got none of b"),
        (["train", "train", "val", "test"], [0, 1, 0, -1], "1 of 1 test images have no label"),
    ],
)
def test_bad_data_is_one_clear_line(splits: list[str], labels: list[int], message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        labelled_splits(torch.zeros(len(splits), 1), _manifest(splits, labels), ("a", "b"))
    assert "\n" not in str(caught.value)
