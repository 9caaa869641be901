import pytest
import torch

from benchmarks import knn
from benchmarks.errors import BenchmarkError
from benchmarks.knn import Shape, our_predictions, random_features, textbook_predictions
from dino.features import neighbours

SMALL = Shape(bank=600, queries=150, dim=48)


@pytest.fixture
def candidates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "resolve_precision", lambda *_: "bf16")
    monkeypatch.setattr(neighbours, "_WORTH_CANDIDATES", 0)


@pytest.mark.usefixtures("candidates")
def test_both_sides_predict_the_same_classes():
    features = random_features(SMALL)
    assert torch.equal(our_predictions(features), textbook_predictions(features))


def test_sides_that_disagree_are_refused(monkeypatch):
    monkeypatch.setattr(knn, "our_predictions", lambda f: textbook_predictions(f) + 1)
    with pytest.raises(BenchmarkError, match="disagree on 150 of 150 predictions"):
        knn.measure(["knn_loop"], rounds=1, shape=SMALL)


def test_imagenet_costs_its_share_of_products_and_holds_its_features():
    projected = knn._at_imagenet(knn.SHAPE, seconds=1.0, working=0)
    assert projected["imagenet_projected_s"] == pytest.approx(1.281167e6 * 5e4 / 6e8)
    assert projected["imagenet_projected_gib"] == pytest.approx(1.331167e6 * 384 * 4 / 2**30)
