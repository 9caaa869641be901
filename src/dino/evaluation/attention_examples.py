"""The arrays for the figures of the attention: a few images with their maps and masks."""

import numpy as np
from jaxtyping import Float64, Int64

from dino.core.configuration.attention import AttentionConfig
from dino.data.dataset import PreparedDataset
from dino.evaluation.attention import (
    AttentionBatch,
    attention_batches,
    image_scores,
    patch_size_px,
)
from dino.evaluation.masked_images import MaskedImages, scored_images, unmasked_images
from dino.features.attention_maps import no_cls_attention
from dino.features.frozen_backbone import FrozenBackbone
from dino.metrics.jaccard import VOID

IMAGES_PER_RANK = 3
"""The number of best images shown; as many around the median and of the worst are shown."""


def attention_examples(
    teacher: FrozenBackbone,
    random_init: FrozenBackbone,
    dataset: PreparedDataset,
    config: AttentionConfig,
) -> dict[str, np.ndarray]:
    """Maps and masks of a few scored images of different classes, by the first mass.

    Where no test image has a mask, other test images stand for them, and the arrays of the truth
    and of what is scored with it have no image. Without [CLS] attention no array has.
    """
    images = scored_images(dataset, config)
    are_masked = len(images) > 0
    images = (images if are_masked else unmasked_images(dataset, config)).of_each_class(
        config.examples
    )
    mass, size_px = config.masses[0], config.image_size_px
    arrays = {
        "image_index": np.zeros(0, dtype=np.int64),
        "class_name": np.zeros(0, dtype=np.str_),
        "image": np.zeros((0, size_px, size_px, 3), dtype=np.uint8),
        "mask": np.zeros((0, size_px, size_px), dtype=bool),
        "teacher_maps": np.zeros((0, 0, 0, 0), dtype=np.float32),
        "random_init_maps": np.zeros((0, 0, 0, 0), dtype=np.float32),
        "teacher_masks": np.zeros((0, 0, size_px, size_px), dtype=bool),
        "teacher_jaccard": np.zeros((0, 0)),
        "patch_size_px": np.array(0),
    }
    if no_cls_attention(teacher) is not None or len(images) == 0:
        return arrays
    of_teacher = list(attention_batches(teacher, images, [mass]))
    of_random = list(attention_batches(random_init, images, [mass]))
    truth = np.concatenate([truth for _, truth in images.batches()])
    by_truth = {
        "mask": (truth > 0) & (truth != VOID),
        "teacher_masks": np.concatenate([batch.masks[mass][:, :-1] for batch in of_teacher]),
        "teacher_jaccard": _per_image(of_teacher, mass),
    }
    return {
        **arrays,
        "image_index": images.indices,
        "class_name": _class_names(images),
        "image": np.concatenate([pixels for pixels, _ in images.batches()]),
        "teacher_maps": np.concatenate([batch.maps for batch in of_teacher]),
        "random_init_maps": np.concatenate([batch.maps for batch in of_random]),
        "patch_size_px": np.array(patch_size_px(teacher)),
        **(by_truth if are_masked else {}),
    }


def ranked_examples(
    teacher: FrozenBackbone,
    dataset: PreparedDataset,
    config: AttentionConfig,
    jaccards: Float64[np.ndarray, " images"] | None,
) -> dict[str, np.ndarray]:
    """The best images of `teacher`, some around the median, and the worst, best first.

    `jaccards`: of all scored images by the protocol `paper` with the first mass; None where there
    are none, and all arrays have no image. The mask shown is that of the head with the highest
    mean over the image's objects.
    """
    size_px = config.image_size_px
    arrays = {
        "ranked_rank": np.zeros(0, dtype=np.int64),
        "ranked_id": np.zeros(0, dtype=np.str_),
        "ranked_class_name": np.zeros(0, dtype=np.str_),
        "ranked_image": np.zeros((0, size_px, size_px, 3), dtype=np.uint8),
        "ranked_truth": np.zeros((0, size_px, size_px), dtype=np.uint8),
        "ranked_mask": np.zeros((0, size_px, size_px), dtype=bool),
        "ranked_head": np.zeros(0, dtype=np.int64),
        "ranked_jaccard": np.zeros(0),
    }
    if jaccards is None or no_cls_attention(teacher) is not None:
        return arrays
    scored, mass = scored_images(dataset, config), config.masses[0]
    ranks = shown_ranks(len(scored), IMAGES_PER_RANK)
    positions = np.argsort(-jaccards, kind="stable")[ranks]
    images = MaskedImages(dataset=dataset, indices=scored.indices[positions], config=config)
    batches = list(attention_batches(teacher, images, [mass]))
    tables = [table for batch in batches for table in batch.tables[mass]]
    heads = _per_image(batches, mass).argmax(axis=1)
    masks = np.concatenate([batch.masks[mass] for batch in batches])
    return {
        "ranked_rank": ranks + 1,
        "ranked_id": dataset.manifest["id"].to_numpy()[images.indices].astype(np.str_),
        "ranked_class_name": _class_names(images),
        "ranked_image": np.concatenate([pixels for pixels, _ in images.batches()]),
        "ranked_truth": np.concatenate([truth for _, truth in images.batches()]),
        "ranked_mask": masks[np.arange(len(images)), heads],
        "ranked_head": heads,
        "ranked_jaccard": image_scores("paper", tables).jaccards,
    }


def shown_ranks(images: int, each: int) -> Int64[np.ndarray, " shown"]:
    """Ranks from 0: the first `each` of `images`, those around the median, the last; none twice."""
    ranks = np.arange(images)
    middle = max(0, (images - each) // 2)
    shown = np.concatenate([ranks[:each], ranks[middle : middle + each], ranks[-each:]])
    return np.unique(shown)


def _class_names(images: MaskedImages) -> np.ndarray:
    return images.dataset.manifest["class_name"].to_numpy()[images.indices].astype(np.str_)


def _per_image(batches: list[AttentionBatch], mass: float) -> Float64[np.ndarray, "images heads"]:
    """The mean over its objects of each image's heads, 0 to 1."""
    tables = [table for batch in batches for table in batch.tables[mass]]
    return np.stack([table[:, :-1].mean(axis=0) for table in tables])
