import dataclasses

import numpy as np
import pytest

from dino.training.online_knn import OnlineKnn


def _with_labels(dataset, split, change):
    manifest = dataset.manifest.copy()
    rows = dataset.indices(split)
    manifest.loc[rows, "label"] = change(manifest["label"].to_numpy()[rows])
    return dataclasses.replace(dataset, manifest=manifest)


@pytest.mark.parametrize(
    ("split", "change", "possible"),
    [
        ("train", lambda labels: np.where(np.arange(len(labels)) % 2, labels, -1), True),
        ("train", lambda labels: -np.ones_like(labels), False),
        ("val", lambda labels: np.where(np.arange(len(labels)) % 2, labels, -1), False),
    ],
)
def test_unlabelled_training_images_do_not_vote(dataset, split, change, possible):
    changed = _with_labels(dataset, split, change)
    online = OnlineKnn(changed, bank_size=30, size_px=8)
    assert online.is_possible is possible
    bank = changed.manifest["label"].to_numpy()[online._bank]
    assert (bank >= 0).all()
    assert len(bank) == (30 if split == "val" or possible else 0)
