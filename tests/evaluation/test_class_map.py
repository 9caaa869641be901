import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import squareform
from scipy.stats import spearmanr

from dino.core.configuration.class_map import ClassMapConfig, superclass_of
from dino.core.configuration.section import parse
from dino.core.errors import ConfigurationError, DataError
from dino.core.provenance import plain
from dino.evaluation.class_map import class_map

CLASSES = ("a", "b", "c", "d", "e", "f")
CONFIG = ClassMapConfig(superclasses={"first": ("a", "b", "c"), "second": ("d", "e", "f")})
IMAGES = 20


def _manifest(classes: int = len(CLASSES)) -> pd.DataFrame:
    """A training image, then `IMAGES` test images of each class."""
    labels = [0, *np.repeat(np.arange(classes), IMAGES)]
    return pd.DataFrame({"label": labels, "split": ["train"] + ["test"] * (len(labels) - 1)})


def _features(noise: float, classes: int = len(CLASSES)) -> np.ndarray:
    """The classes of a superclass around one direction, those of the other around another.

    Images have all lengths; the training image would outweigh the others.
    """
    generator = np.random.default_rng(0)
    directions = np.zeros((classes, 12))
    directions[:, 0] = np.arange(classes) < 3
    directions[:, 1] = np.arange(classes) >= 3
    directions[np.arange(classes), 2 + np.arange(classes)] = 0.3
    of_test = directions.repeat(IMAGES, axis=0)
    of_test += noise * generator.normal(size=of_test.shape)
    of_test *= generator.uniform(0.1, 10, (len(of_test), 1))
    return np.concatenate([np.full((1, 12), 1e6), of_test]).astype(np.float32)


def test_classes_that_gather_by_superclass_reach_the_highest_correlation() -> None:
    result = class_map(_features(0.01), _manifest(), CLASSES, CONFIG)
    # 6 pairs within and 9 between: ranks 1 to 15 beside mid-ranks 3.5 and 11
    assert result.spearman_highest == pytest.approx(np.sqrt(3 * 6 * 9 / (15**2 - 1)))
    assert result.spearman == pytest.approx(result.spearman_highest)
    apart = np.array(result.distances) > 0.5
    assert np.array_equal(apart, np.kron(np.eye(2), np.ones((3, 3))) == 0)


def test_distances_are_those_of_the_means_of_normalised_features() -> None:
    features, manifest = _features(0.3), _manifest()
    result = class_map(features, manifest, CLASSES, CONFIG)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    of_test = manifest["split"] == "test"
    first, second = (unit[of_test & (manifest["label"] == label)].mean(axis=0) for label in (0, 1))
    cosine = first @ second / np.linalg.norm(first) / np.linalg.norm(second)
    assert result.distances[0][1] == pytest.approx(1 - cosine, abs=1e-6)
    distances = squareform(np.array(result.distances))
    truth = [0, 0, 1, 1, 1, 0, 1, 1, 1, 1, 1, 1, 0, 0, 0]
    assert result.spearman == pytest.approx(spearmanr(distances, truth).statistic)


def test_the_interval_holds_the_correlation_and_widens_with_the_noise() -> None:
    widths = []
    for noise in (0.5, 2.0):
        result = class_map(_features(noise), _manifest(), CLASSES, CONFIG)
        low, high = result.spearman_interval
        assert -1 <= low <= result.spearman <= high <= 1
        widths.append(high - low)
    assert widths[0] < widths[1]


def test_the_dendrogram_parts_the_superclasses_last() -> None:
    result = class_map(_features(0.01), _manifest(), CLASSES, CONFIG)
    heights = [row[2] for row in result.linkage]
    assert heights == sorted(heights)
    assert result.linkage[-1][3] == len(CLASSES)
    assert heights[-1] > 2 * heights[-2]


def test_equal_arguments_give_equal_maps_of_two_coordinates() -> None:
    first = class_map(_features(0.3), _manifest(), CLASSES, CONFIG)
    assert first == class_map(_features(0.3), _manifest(), CLASSES, CONFIG)
    assert np.array(first.coordinates).shape == (len(CLASSES), 2)
    assert np.isfinite(first.coordinates).all()


def test_a_hundred_classes_are_placed() -> None:
    generator = np.random.default_rng(0)
    classes = [f"class {i}" for i in range(100)]
    features = generator.normal(size=(200, 12)).astype(np.float32)
    manifest = pd.DataFrame({"label": np.arange(200) // 2, "split": "test"})
    result = class_map(features, manifest, classes, ClassMapConfig())
    assert np.array(result.coordinates).shape == (100, 2)


def test_images_without_a_label_are_left_out() -> None:
    features, manifest = _features(0.3), _manifest()
    more = pd.concat([manifest, pd.DataFrame({"label": [-1], "split": ["test"]})])
    with_unlabelled = np.concatenate([features, np.full((1, 12), 9, dtype=np.float32)])
    result = class_map(with_unlabelled, more, CLASSES, CONFIG)
    assert result == class_map(features, manifest, CLASSES, CONFIG)


def test_three_classes_have_no_map_but_distances() -> None:
    config = ClassMapConfig(superclasses={"x": ("a", "b"), "y": ("c",)})
    result = class_map(_features(0.3, 3), _manifest(3), CLASSES[:3], config)
    assert result.coordinates is None
    assert result.coordinates_reason == "a map needs at least 4 classes, the data set has 3"
    assert result.spearman is not None
    assert len(result.linkage) == 2


def test_one_class_has_nothing_to_compare() -> None:
    config = ClassMapConfig(superclasses={"x": ("a",)})
    result = class_map(_features(0.3, 1), _manifest(1), CLASSES[:1], config)
    assert (result.linkage, result.coordinates, result.spearman) == ((), None, None)


def test_without_superclasses_there_is_a_reason() -> None:
    result = class_map(_features(0.3), _manifest(), CLASSES, replace(CONFIG, superclasses=None))
    assert result.spearman is None
    assert result.spearman_interval is None
    assert result.spearman_reason == "class_map.superclasses is null"
    alone = {name: (name,) for name in CLASSES}
    result = class_map(_features(0.3), _manifest(), CLASSES, replace(CONFIG, superclasses=alone))
    assert result.spearman_reason is not None
    assert "do not tell any two pairs" in result.spearman_reason


def test_features_that_collapsed_have_no_arrangement() -> None:
    features = np.ones((len(CLASSES) * IMAGES + 1, 12), dtype=np.float32)
    result = class_map(features, _manifest(), CLASSES, CONFIG)
    assert result.spearman_reason == "all class means are equally far apart"
    assert result.coordinates_reason == "the class means lie on a line"


def test_single_images_have_no_interval() -> None:
    chosen = [1 + IMAGES * label for label in range(len(CLASSES))]
    result = class_map(_features(0.3)[chosen], _manifest().loc[chosen], CLASSES, CONFIG)
    assert result.spearman is not None
    assert result.spearman_interval is None


def test_superclasses_of_other_classes_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="got hat which the data set does not have"):
        superclass_of(("a", "b"), {"x": ("a", "hat"), "y": ("b",)})
    with pytest.raises(ConfigurationError, match="got b in none of them"):
        superclass_of(("a", "b"), {"x": ("a",)})
    with pytest.raises(ConfigurationError, match="got a in several"):
        parse(ClassMapConfig, {"superclasses": {"x": ["a"], "y": ["a"]}}, where="class_map")


def test_a_class_without_an_image_is_named() -> None:
    with pytest.raises(DataError, match="every class in test, got none of f"):
        class_map(_features(0, 5), _manifest(5), CLASSES, CONFIG)


def _with_black_class(noise: float = 0.3) -> np.ndarray:
    """The images of class f are black: their features are zero."""
    features = _features(noise)
    features[-IMAGES:] = 0
    return features


def test_a_class_of_black_images_is_left_out_and_the_others_are_whole() -> None:
    black = class_map(_with_black_class(), _manifest(), CLASSES, CONFIG)
    others = class_map(_features(0.3)[:-IMAGES], _manifest(5), CLASSES[:5],
                       replace(CONFIG, superclasses=None))  # fmt: skip
    assert black.left_out == {"f": "the mean of its features is zero"}
    assert black.distances[-1] is None and black.distances[:-1] == others.distances
    assert black.linkage == others.linkage
    assert black.coordinates is not None and black.coordinates[-1] is None
    assert black.coordinates[:-1] == others.coordinates
    assert (black.spearman, black.spearman_interval) == (None, None)
    assert black.spearman_reason == "the mean of the features is zero in f"
    json.dumps(plain(black), allow_nan=False)


@pytest.mark.parametrize("remaining", [0, 1, 2])
def test_few_classes_with_a_direction_are_no_error(remaining: int) -> None:
    features = _features(0.3)
    features[1 + remaining * IMAGES :] = 0
    result = class_map(features, _manifest(), CLASSES, CONFIG)
    assert len(result.left_out) == len(CLASSES) - remaining
    assert len(result.linkage) == max(0, remaining - 1)
    assert result.coordinates is None
    json.dumps(plain(result), allow_nan=False)


def test_draws_of_black_images_alone_do_not_count_in_the_interval() -> None:
    features = _features(0.3)
    features[-IMAGES + 1 :] = 0
    result = class_map(features, _manifest(), CLASSES, CONFIG)
    assert result.spearman is not None and result.spearman_interval is not None
    assert result.left_out == {}
    assert -1 <= result.spearman_interval[0] <= result.spearman_interval[1] <= 1
