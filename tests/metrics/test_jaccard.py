import numpy as np

from dino.metrics.jaccard import jaccard


def test_quarter_shifted_squares_share_a_seventh() -> None:
    masks = np.zeros((2, 4, 4), dtype=bool)
    masks[0, :2, :2] = True
    masks[1, 1:3, 1:3] = True
    assert jaccard(masks[0], masks[1]) == 1 / 7


def test_every_head_is_scored_against_its_images_truth() -> None:
    generator = np.random.default_rng(0)
    masks = generator.random((3, 2, 5, 6)) < 0.5
    truth = generator.random((3, 1, 5, 6)) < 0.5
    scores = jaccard(masks, truth)
    assert scores.shape == (3, 2)
    for image in range(3):
        for head in range(2):
            mask, object_ = masks[image, head], truth[image, 0]
            assert scores[image, head] == (mask & object_).sum() / (mask | object_).sum()


def test_empty_masks_agree() -> None:
    empty = np.zeros((3, 3), dtype=bool)
    assert jaccard(empty, empty) == 1
    assert jaccard(empty, ~empty) == 0
