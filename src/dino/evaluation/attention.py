"""Segmentation of the object by the attention of [CLS] (paper: section 4.2.2).

The reference never released its code for this number, so that the protocols here are named with
every result. A mask keeps the top share of a map's attention, upsampled to pixels. `paper`: an
object counts with its best head, chosen with the truth, so the number measures what the heads
contain, not a segmentation that one could make blindly. `best_head_fixed`: with the head that is
the best of the training images. `mean_of_heads`: with the mask of the mean of the heads' maps.
An image has the mean of its objects, the result is the mean over images.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Float32, Float64
from torch import Tensor

from dino.core.configuration.attention import AttentionConfig, protocol_key
from dino.core.precision import best_device
from dino.core.score import Score, bounds, setting
from dino.data.dataset import PreparedDataset
from dino.data.normalisation import normalised
from dino.evaluation.masked_images import (
    NO_MASKS,
    NO_TRAINING_MASKS,
    SELECTION_SPLIT,
    SPLIT,
    MaskedImages,
    scored_images,
    selection_images,
)
from dino.features.attention_maps import (
    cls_attention,
    masks_of_mass,
    no_cls_attention,
    upsampled,
)
from dino.features.frozen_backbone import FrozenBackbone
from dino.metrics.intervals import mean_interval
from dino.metrics.jaccard import object_jaccards

_HEADLINE = "attention_jaccard"
_KEYS = {
    "best_head_fixed": "attention_fixed_head_jaccard",
    "mean_of_heads": "attention_mean_heads_jaccard",
}
"""The names of the scores with the first mass, by protocol."""

ObjectJaccards = Float64[np.ndarray, "_objects _masks"]
"""The Jaccard indices of one image, 0 to 1: a row for each of its objects (images differ in their
number), a column for the mask of each head, and a last one for the mask of the heads' mean.
"""


@dataclass(frozen=True, kw_only=True)
class AttentionProtocol:
    """The settings with which the masks were made and scored."""

    image_size_px: int
    images: int
    """Number of images scored."""
    masks: str | None
    """The kind of the true masks."""
    objects: str
    void: str
    selection_images: int
    """Number of images that best_head_fixed chose its head on."""
    split: str = SPLIT
    selection_split: str = SELECTION_SPLIT


@dataclass(frozen=True, kw_only=True)
class AttentionScore:
    """Jaccard indices in percent of one protocol with one mass."""

    jaccard: float | None
    """The mean over images; None if there is none."""
    interval: tuple[float, float] | None
    """Its 95 % bootstrap interval over images."""
    per_head: tuple[float, ...]
    """Mean over images of each head."""
    head: int | None = None
    """The one head of best_head_fixed, counted from 0."""
    reason: str | None = None
    """Why there is no number."""


@dataclass(frozen=True, kw_only=True)
class ImageScores:
    """The contributions of single images to a score."""

    jaccards: Float64[np.ndarray, " images"]
    """The Jaccard index of each image, in percent."""
    heads: tuple[str, ...]
    """The heads chosen, counted from 0, one for each object; none for mean_of_heads."""


@dataclass(frozen=True, kw_only=True)
class AttentionResult:
    """The scores of one backbone by `protocol_key`; none where it has no [CLS] attention."""

    scores: dict[str, AttentionScore]
    images: dict[str, ImageScores]
    """Without the scores that have no number."""
    reason: str | None
    """Why there are no scores."""


def attention_protocol(dataset: PreparedDataset, config: AttentionConfig) -> AttentionProtocol:
    """The protocol of `attention` on this data set."""
    return AttentionProtocol(
        image_size_px=config.image_size_px,
        images=len(scored_images(dataset, config)),
        masks=dataset.description["mask_kind"],
        objects=config.objects,
        void=config.void,
        selection_images=len(selection_images(dataset, config)),
    )


def attention(
    backbone: FrozenBackbone, dataset: PreparedDataset, config: AttentionConfig
) -> AttentionResult:
    """The Jaccard indices of the masks of `backbone`'s last block, by every protocol and mass."""
    images = scored_images(dataset, config)
    reason = no_cls_attention(backbone) or (None if len(images) else NO_MASKS)
    if reason is not None:
        return AttentionResult(scores={}, images={}, reason=reason)
    tables = _measured(backbone, images, config)
    selection: dict[float, list[ObjectJaccards]] = {mass: [] for mass in config.masses}
    if "best_head_fixed" in config.protocols:
        selection = _measured(backbone, selection_images(dataset, config), config)
    scores, of_images = {}, {}
    for protocol, mass in product(config.protocols, config.masses):
        key = protocol_key(protocol, mass)
        scores[key], measured = _score(protocol, tables[mass], selection[mass])
        if measured is not None:
            of_images[key] = measured
    return AttentionResult(scores=scores, images=of_images, reason=None)


def attention_scores(
    model: str, result: AttentionResult, images: int, config: AttentionConfig
) -> list[Score]:
    """The Jaccard index over `images` images by every protocol and mass, the headline first.

    Values are None where there is no such number.
    """
    scores = []
    for protocol, mass in product(config.protocols, config.masses):
        name = protocol_key(protocol, mass)
        found = result.scores.get(name)
        key = _KEYS.get(protocol, "") if mass == config.masses[0] else ""
        scores.append(
            Score(
                model=model,
                setting=setting(protocol=protocol, mass=f"{mass:g}"),
                metric="jaccard",
                value=None if found is None else found.jaccard,
                n=images,
                key=_HEADLINE if name == config.headline else key,
                **bounds(None if found is None else found.interval),
            )
        )
    return scores


def attention_details(result: AttentionResult) -> dict[str, Any]:
    """What `result` holds besides its scores: the heads, and reasons."""
    return {
        "reason": result.reason,
        "heads": {
            name: {"head": score.head, "per_head": score.per_head, "reason": score.reason}
            for name, score in result.scores.items()
        },
    }


def _score(
    protocol: str, tables: Sequence[ObjectJaccards], selection: Sequence[ObjectJaccards]
) -> tuple[AttentionScore, ImageScores | None]:
    """The score of one protocol with one mass; `selection`: what a head is chosen on."""
    per_head, head = tuple((100 * _per_head(tables)).tolist()), None
    if protocol == "best_head_fixed":
        if not selection:
            nothing = AttentionScore(
                jaccard=None, interval=None, per_head=per_head, reason=NO_TRAINING_MASKS
            )
            return nothing, None
        head = int(_per_head(selection).argmax())
    images = image_scores(protocol, tables, head)
    score = AttentionScore(
        jaccard=float(images.jaccards.mean()),
        interval=mean_interval(images.jaccards),
        per_head=per_head,
        head=head,
    )
    return score, images


def image_scores(
    protocol: str, tables: Sequence[ObjectJaccards], fixed_head: int | None = None
) -> ImageScores:
    """The Jaccard index of each image by `protocol`, and its heads.

    `fixed_head`: the one of best_head_fixed.
    """
    if protocol == "paper":
        values = [table[:, :-1].max(axis=1).mean() for table in tables]
        heads = [" ".join(map(str, table[:, :-1].argmax(axis=1))) for table in tables]
    elif protocol == "best_head_fixed":
        assert fixed_head is not None
        values = [table[:, fixed_head].mean() for table in tables]
        heads = [" ".join([str(fixed_head)] * len(table)) for table in tables]
    else:
        values = [table[:, -1].mean() for table in tables]
        heads = [""] * len(tables)
    return ImageScores(jaccards=100 * np.array(values, dtype=np.float64), heads=tuple(heads))


def image_table(
    results: dict[str, AttentionResult], images: MaskedImages, config: AttentionConfig
) -> pd.DataFrame:
    """One row an image: id, class_name, and for every model, protocol and mass the Jaccard index
    in percent and, where a head is chosen, the heads of its objects, counted from 0.

    What was not measured is empty.
    """
    columns = images.dataset.manifest[["id", "class_name"]].iloc[images.indices]
    table = columns.reset_index(drop=True)
    for model, result in results.items():
        for protocol, mass in product(config.protocols, config.masses):
            key = protocol_key(protocol, mass)
            scores = result.images.get(key)
            table[f"{model}_{key}"] = np.nan if scores is None else scores.jaccards
            if protocol != "mean_of_heads":
                table[f"{model}_{key}_head"] = "" if scores is None else scores.heads
    return table


def pixel_masks(
    maps: Float[Tensor, "images heads rows columns"], mass: float, patch_size_px: int
) -> Bool[np.ndarray, "images heads height width"]:
    """The masks in pixels that keep the share `mass` of each map."""
    patches = masks_of_mass(maps, mass)
    return upsampled(patches.float(), patch_size_px).bool().cpu().numpy()


def patch_size_px(backbone: FrozenBackbone) -> int:
    """The side of a patch, which is a square."""
    assert backbone.patch_size_px is not None
    return backbone.patch_size_px[0]


@dataclass(frozen=True, kw_only=True)
class AttentionBatch:
    """A few images, what is true of them, and their masks by mass: of each head, then of the
    mean of the heads.
    """

    maps: Float32[np.ndarray, "batch heads rows columns"]
    masks: dict[float, Bool[np.ndarray, "batch masks size size"]]
    tables: dict[float, list[ObjectJaccards]]


def attention_batches(
    backbone: FrozenBackbone, images: MaskedImages, masses: Sequence[float]
) -> Iterator[AttentionBatch]:
    """The attention of the last block on all of `images`, in their order."""
    device = best_device()
    backbone = backbone.to(device)
    for pixels, truth in images.batches():
        batch = normalised(torch.from_numpy(pixels).permute(0, 3, 1, 2).to(device))
        maps = cls_attention(backbone, batch)
        with_mean = torch.cat([maps, maps.mean(dim=1, keepdim=True)], dim=1)
        masks = {mass: pixel_masks(with_mean, mass, patch_size_px(backbone)) for mass in masses}
        tables = {
            mass: [object_jaccards(*pair) for pair in zip(masks[mass], truth, strict=True)]
            for mass in masses
        }
        yield AttentionBatch(maps=maps.cpu().numpy(), masks=masks, tables=tables)


def _measured(
    backbone: FrozenBackbone, images: MaskedImages, config: AttentionConfig
) -> dict[float, list[ObjectJaccards]]:
    tables: dict[float, list[ObjectJaccards]] = {mass: [] for mass in config.masses}
    for batch in attention_batches(backbone, images, config.masses):
        for mass in config.masses:
            tables[mass] += batch.tables[mass]
    return tables


def _per_head(tables: Sequence[ObjectJaccards]) -> Float64[np.ndarray, " heads"]:
    """The mean over images of each head, 0 to 1."""
    return np.mean([table[:, :-1].mean(axis=0) for table in tables], axis=0)
