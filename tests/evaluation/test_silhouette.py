import pytest
import torch

from dino.evaluation.silhouette import silhouette_scores, silhouettes
from dino.features.labelled_splits import LabelledFeatures


def _images(features, labels):
    return LabelledFeatures(features=torch.tensor(features), labels=torch.tensor(labels))


def _naive(images):
    """The definition, image by image."""
    unit = torch.nn.functional.normalize(images.features.double(), dim=1)
    distances, values = 1 - unit @ unit.T, []
    for i, label in enumerate(images.labels):
        means = {}
        for other in images.labels.unique():
            members = [j for j, found in enumerate(images.labels) if found == other and j != i]
            means[int(other)] = distances[i, members].mean()
        own = means.pop(int(label))
        nearest = min(means.values())
        values.append(float((nearest - own) / max(nearest, own)))
    return values


def test_silhouettes_are_those_of_the_definition():
    generator = torch.Generator().manual_seed(0)
    images = LabelledFeatures(
        features=torch.randn(12, 5, generator=generator), labels=torch.arange(12) % 3
    )
    assert silhouettes(images) == pytest.approx(_naive(images), abs=1e-6)


def test_classes_in_opposite_directions_are_separated_as_well_as_can_be():
    images = _images([[1.0, 0.0], [2.0, 0.0], [-1.0, 0.0], [-3.0, 0.0]], [0, 0, 1, 1])
    (score,) = silhouette_scores("teacher", images, "test")
    assert score.value == pytest.approx(1)
    assert (score.n, score.setting, score.key) == (4, "split=test", "silhouette")


def test_an_interval_holds_the_mean():
    generator = torch.Generator().manual_seed(1)
    features, labels = torch.randn(40, 5, generator=generator), torch.arange(40) % 4
    images = LabelledFeatures(features=features, labels=labels)
    (score,) = silhouette_scores("teacher", images, "test")
    assert -1 <= score.low < score.value < score.high <= 1


@pytest.mark.parametrize("labels", [[0, 0, 0], [0, 1, 2]])
def test_one_class_or_classes_of_one_image_have_no_silhouette(labels):
    images = _images([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], labels)
    (score,) = silhouette_scores("teacher", images, "test")
    assert (score.value, score.low, score.high) == (None, None, None)
