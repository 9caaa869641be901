from dataclasses import replace

import numpy as np
import pytest

from dino.core.configuration.attention import AttentionConfig
from dino.data.dataset import VOID, PreparedDataset
from dino.evaluation.masked_images import scored_images, selection_images
from dino.metrics import jaccard


def test_images_are_spread_evenly_over_the_test_split(dataset: PreparedDataset) -> None:
    images = scored_images(dataset, AttentionConfig(image_size_px=16, images=20))
    expected = dataset.indices("test")[::3]
    assert images.indices.tolist() == expected.tolist()


def test_only_images_with_a_mask_are_scored(dataset: PreparedDataset) -> None:
    has_mask = np.arange(len(dataset)) % 2 == 0
    half = replace(dataset, manifest=dataset.manifest.assign(has_mask=has_mask))
    images = scored_images(half, AttentionConfig(image_size_px=16, images=1000))
    assert len(images) == 30
    assert (images.indices % 2 == 0).all()


def test_batches_hold_every_image_at_the_size_asked_for(dataset: PreparedDataset) -> None:
    images = scored_images(dataset, AttentionConfig(image_size_px=480, images=20))
    batches = list(images.batches())
    assert len(batches) > 1
    assert sum(len(pixels) for pixels, _ in batches) == 20
    assert batches[0][0].shape[1:] == (480, 480, 3)
    assert batches[0][1].shape[1:] == (480, 480)


def test_at_the_images_own_size_pixels_and_masks_stay_as_they_are(
    dataset: PreparedDataset,
) -> None:
    images = scored_images(dataset, AttentionConfig(image_size_px=8, images=60))
    pixels, masks = next(images.batches())
    index = int(images.indices[0])
    assert np.array_equal(pixels[0, :, :, 0], np.asarray(dataset.image(index)))
    assert np.array_equal(masks[0], dataset.objects(index))


def test_data_and_metric_agree_on_void() -> None:
    assert VOID == jaccard.VOID


def test_a_head_is_selected_on_training_images(dataset: PreparedDataset) -> None:
    images = selection_images(dataset, AttentionConfig(image_size_px=16, selection_images=50))
    assert images.indices.tolist() == dataset.indices("train")[::3].tolist()


@pytest.mark.parametrize(
    ("objects", "void", "expected"),
    [
        ("foreground", "ignore", [0, 1, 1, 255]),
        ("foreground", "background", [0, 1, 1, 0]),
        ("objects", "ignore", [0, 1, 2, 255]),
        ("objects", "background", [0, 1, 2, 0]),
    ],
)
def test_the_truth_is_as_the_protocol_says(
    objects: str,
    void: str,
    expected: list[int],
    dataset: PreparedDataset,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # one number in each quarter of the image
    quarters = np.array([[0, 1], [2, 255]], dtype=np.uint8)
    monkeypatch.setattr(PreparedDataset, "objects", lambda self, index: quarters)
    config = AttentionConfig(image_size_px=4, images=1, objects=objects, void=void)
    _, truth = next(scored_images(dataset, config).batches())
    enlarged = np.reshape(expected, (2, 2)).repeat(2, axis=0).repeat(2, axis=1)
    assert np.array_equal(truth[0], enlarged)


def test_examples_take_turns_between_classes(dataset: PreparedDataset) -> None:
    images = scored_images(dataset, AttentionConfig(image_size_px=8, images=60)).of_each_class(12)
    labels = dataset.manifest["label"].to_numpy()[images.indices]
    assert labels.tolist() == [*range(10), 0, 1]
