"""Segmentation of the object by the attention of [CLS] (paper: section 4.2.2).

The reference never released its code for this number. The protocol here: each head's mask keeps
the top share of its attention, upsampled to pixels; an image counts with its best head; the
result is the mean over images. The best head is chosen with the truth, as in the paper, so
the number measures what the heads contain, not a segmentation that one could make blindly.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Float64
from torch import Tensor, nn

from dino.core.configuration.attention import AttentionConfig
from dino.core.precision import best_device
from dino.data.dataset import PreparedDataset
from dino.data.normalisation import normalised
from dino.evaluation.masked_images import NO_MASKS, SPLIT, MaskedImages, scored_images
from dino.features.attention_maps import (
    cls_attention,
    masks_of_mass,
    no_cls_attention,
    upsampled,
)
from dino.metrics.jaccard import jaccard
from dino.model.backbone import ReferencePositionVit


@dataclass(frozen=True, kw_only=True)
class AttentionProtocol:
    """How the numbers were made."""

    image_size_px: int
    mass: float
    images: int
    """Number of images scored."""
    masks: str | None
    """What the true masks are."""
    split: str = SPLIT
    head: str = "best per image"


@dataclass(frozen=True, kw_only=True)
class AttentionResult:
    """Jaccard indices in percent."""

    jaccard: float | None
    """Mean over images of the best head; None where there is no such number."""
    per_head: tuple[float, ...]
    """Mean over images of each head."""
    reason: str | None
    """Why there is no number."""


@dataclass(frozen=True, kw_only=True)
class _Scored:
    maps: Float32[np.ndarray, "batch heads rows columns"]
    masks: Bool[np.ndarray, "batch heads size size"]
    jaccards: Float64[np.ndarray, "batch heads"]


def attention_protocol(dataset: PreparedDataset, config: AttentionConfig) -> AttentionProtocol:
    """The protocol of `attention` on this data set."""
    return AttentionProtocol(
        image_size_px=config.image_size_px,
        mass=config.mass,
        images=len(scored_images(dataset, config)),
        masks=dataset.description["mask_kind"],
    )


def attention(
    backbone: nn.Module, dataset: PreparedDataset, config: AttentionConfig
) -> AttentionResult:
    """The Jaccard index of the masks of `backbone`'s last block."""
    images = scored_images(dataset, config)
    reason = no_cls_attention(backbone) or (None if len(images) else NO_MASKS)
    if reason is not None:
        return AttentionResult(jaccard=None, per_head=(), reason=reason)
    assert isinstance(backbone, ReferencePositionVit)
    scores = np.concatenate([batch.jaccards for batch in _score_all(backbone, images, config)])
    return AttentionResult(
        jaccard=100 * best_head_jaccard(scores),
        per_head=tuple((100 * scores.mean(axis=0)).tolist()),
        reason=None,
    )


def attention_examples(
    teacher: nn.Module, random_init: nn.Module, dataset: PreparedDataset, config: AttentionConfig
) -> dict[str, np.ndarray]:
    """Maps and masks of a few scored images of different classes, as arrays for a figure.

    Without [CLS] attention, or without masks, all arrays have no image.
    """
    images = scored_images(dataset, config).of_each_class(config.examples)
    size_px = config.image_size_px
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
    if not isinstance(teacher, ReferencePositionVit) or len(images) == 0:
        return arrays
    assert isinstance(random_init, ReferencePositionVit)
    of_teacher = list(_score_all(teacher, images, config))
    of_random = list(_score_all(random_init, images, config))
    names = dataset.manifest["class_name"].to_numpy()[images.indices]
    return {
        "image_index": images.indices,
        "class_name": names.astype(np.str_),
        "image": np.concatenate([pixels for pixels, _ in images.batches()]),
        "mask": np.concatenate([truth for _, truth in images.batches()]),
        "teacher_maps": np.concatenate([batch.maps for batch in of_teacher]),
        "random_init_maps": np.concatenate([batch.maps for batch in of_random]),
        "teacher_masks": np.concatenate([batch.masks for batch in of_teacher]),
        "teacher_jaccard": np.concatenate([batch.jaccards for batch in of_teacher]),
        "patch_size_px": np.array(patch_size_px(teacher)),
    }


def head_jaccards(
    masks: Bool[np.ndarray, "images heads height width"],
    truth: Bool[np.ndarray, "images height width"],
) -> Float64[np.ndarray, "images heads"]:
    """The Jaccard index, 0 to 1, of each head's mask."""
    return jaccard(masks, truth[:, None])


def best_head_jaccard(jaccards: Float64[np.ndarray, "images heads"]) -> float:
    """The mean over images of their best heads."""
    return float(jaccards.max(axis=1).mean())


def pixel_masks(
    maps: Float[Tensor, "images heads rows columns"], mass: float, patch_size_px: int
) -> Bool[np.ndarray, "images heads height width"]:
    """The masks in pixels that keep the share `mass` of each map."""
    patches = masks_of_mass(maps, mass)
    return upsampled(patches.float(), patch_size_px).bool().cpu().numpy()


def patch_size_px(backbone: ReferencePositionVit) -> int:
    """The side of a patch."""
    return int(backbone.patch_embed.patch_size[0])


def _score_all(
    backbone: ReferencePositionVit, images: MaskedImages, config: AttentionConfig
) -> Iterator[_Scored]:
    device = best_device()
    backbone = backbone.to(device).eval()
    for pixels, truth in images.batches():
        batch = normalised(torch.from_numpy(pixels).permute(0, 3, 1, 2).to(device))
        with torch.no_grad():
            maps = cls_attention(backbone, batch)
        masks = pixel_masks(maps, config.mass, patch_size_px(backbone))
        yield _Scored(maps=maps.cpu().numpy(), masks=masks, jaccards=head_jaccards(masks, truth))
