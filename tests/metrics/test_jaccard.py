import numpy as np

from dino.metrics.jaccard import VOID, jaccard, object_jaccards


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


def test_void_pixels_count_neither_in_intersection_nor_in_union() -> None:
    truth = np.array([[1, 1, VOID, VOID, 0, 0]], dtype=np.uint8)
    mask = np.array([[True, False, True, False, True, False]])
    # of the four pixels that are known: one in both, three in one of them
    assert object_jaccards(mask[None], truth).tolist() == [[1 / 3]]
    as_background = np.where(truth == VOID, 0, truth)
    assert object_jaccards(mask[None], as_background).tolist() == [[1 / 4]]


def test_every_object_is_scored_with_every_mask() -> None:
    truth = np.array([[2, 2, 7, 0]], dtype=np.uint8)
    masks = np.array([[[True, True, False, False]], [[False, False, True, True]]])
    assert object_jaccards(masks, truth).tolist() == [[1, 0], [0, 1 / 2]]


def test_an_image_without_an_object_has_an_empty_one() -> None:
    truth = np.array([[0, VOID]], dtype=np.uint8)
    masks = np.array([[[False, True]], [[True, False]]])
    assert object_jaccards(masks, truth).tolist() == [[1, 0]]
