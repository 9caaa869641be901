"""What the report's attention explorer shows: for a few test images, all of the last block's
attention and how much the patches resemble each other, small enough for a page.
"""

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64, UInt8
from PIL import Image
from torch import Tensor

from dino.core.configuration.attention import AttentionConfig
from dino.core.precision import best_device
from dino.data.dataset import PreparedDataset
from dino.data.normalisation import normalised
from dino.evaluation.attention import patch_size_px
from dino.evaluation.masked_images import SPLIT
from dino.features.attention_maps import no_cls_attention
from dino.features.frozen_backbone import FrozenBackbone

IMAGES = 6
LARGEST_GRID = 14
"""Cells along a side; finer grids of patches are averaged over squares of patches."""
LARGEST_PICTURE_PX = 224
_LEVELS = 255


def attention_explorer(
    models: dict[str, FrozenBackbone], dataset: PreparedDataset, config: AttentionConfig
) -> dict[str, np.ndarray]:
    """Arrays for each of `models` by name, of the same images; labels and masks are not needed.

    With C cells (patches, or squares of them) in a grid: `explorer_{model}_attention` [images,
    heads, 1 + C, 1 + C] are bytes, the attention of [CLS] and the cells (rows) over the same,
    where 255 is the row's `explorer_{model}_row_maximum` [images, heads, 1 + C]. A square attends
    with the mean of its patches and is attended to with their sum, so that rows still sum to 1,
    less what goes to distillation and register tokens.
    `explorer_{model}_similarity` [images, C, C] are bytes, the cosine of two cells' mean features
    after the final norm, from `explorer_{model}_lowest_similarity` [images] (0) to 1 (255).
    `explorer_reason` says why there are no images, and is empty otherwise.
    """
    reasons = [reason for model in models.values() if (reason := no_cls_attention(model))]
    if reasons:
        return {
            "explorer_reason": np.array(reasons[0]),
            "explorer_image": np.zeros((0, 0, 0, 3), dtype=np.uint8),
        }
    indices = _shown(dataset)
    (patch_px,) = {patch_size_px(model) for model in models.values()}
    square, cells = cells_of(config.image_size_px // patch_px)
    pixels = _pixels(dataset, indices, cells * square * patch_px)
    picture_px = min(pixels.shape[1], LARGEST_PICTURE_PX)
    arrays = {
        "explorer_reason": np.array(""),
        "explorer_id": dataset.manifest["id"].to_numpy()[indices].astype(np.str_),
        "explorer_class_name": dataset.manifest["class_name"].to_numpy()[indices].astype(np.str_),
        "explorer_image": np.stack([_resized(image, picture_px) for image in pixels]),
        "explorer_image_size_px": np.array(pixels.shape[1]),
        "explorer_patch_size_px": np.array(patch_px),
        "explorer_patches_per_cell": np.array(square),
    }
    for name, model in models.items():
        for key, values in _measured(model, pixels, square, cells).items():
            arrays[f"explorer_{name}_{key}"] = values
    return arrays


def cells_of(grid: int) -> tuple[int, int]:
    """The patches along a cell's side, and the cells along the image's, of `grid` patches a side.

    What is left at the end of a row, less than a cell, is left out of the image.
    """
    square = -(-grid // LARGEST_GRID)
    return square, grid // square


@torch.no_grad()
def _measured(
    backbone: FrozenBackbone,
    pixels: UInt8[np.ndarray, "images size size 3"],
    square: int,
    cells: int,
) -> dict[str, np.ndarray]:
    device = best_device()
    backbone = backbone.to(device)
    membership = _membership(square, cells).to(device)
    attentions, similarities = [], []
    # one by one: all heads' attention on 3600 patches is half a gigabyte an image
    for image in pixels:
        batch = normalised(torch.from_numpy(image)[None].permute(0, 3, 1, 2).to(device))
        attention = _cls_and_patches(backbone.attention(batch).values[0], backbone.prefix_tokens)
        # its columns as its rows
        attention = _cls_and_patches(attention.transpose(1, 2), backbone.prefix_tokens)
        attentions.append(_pooled(attention.transpose(1, 2), membership).cpu())
        (last,) = backbone.tokens(batch, normed=True)
        features = membership @ _cls_and_patches(last.values, backbone.prefix_tokens)[0]
        similarities.append(_cosines(features[1:]).cpu())
    shares, maxima = _bytes_of_rows(torch.stack(attentions).numpy())
    similarity, lowest = _bytes_from_lowest(torch.stack(similarities).numpy())
    return {
        "attention": shares,
        "row_maximum": maxima,
        "similarity": similarity,
        "lowest_similarity": lowest,
    }


def _membership(square: int, cells: int) -> Float[Tensor, "_cells _patches"]:
    """1 where a patch (column) is in a cell (row), both in reading order, [CLS] before them."""
    side = torch.arange(cells * square) // square
    cell = (1 + side[:, None] * cells + side[None, :]).flatten()
    cell = torch.cat([torch.zeros(1, dtype=cell.dtype), cell])
    return torch.nn.functional.one_hot(cell).T.float()


def _cls_and_patches(
    tokens: Float[Tensor, "heads tokens dim"], prefix_tokens: int
) -> Float[Tensor, "heads patches dim"]:
    """The first token and the patches, without distillation and register tokens."""
    return torch.cat([tokens[:, :1], tokens[:, prefix_tokens:]], dim=1)


def _pooled(
    attention: Float[Tensor, "heads patches patches"], membership: Float[Tensor, "cells patches"]
) -> Float[Tensor, "heads cells cells"]:
    mean = membership / membership.sum(dim=1, keepdim=True)
    return mean @ attention.float() @ membership.T


def _cosines(features: Float[Tensor, "cells dim"]) -> Float[Tensor, "cells cells"]:
    directions = torch.nn.functional.normalize(features.float(), dim=1)
    return (directions @ directions.T).clamp(-1, 1)


def _bytes_of_rows(
    attention: Float32[np.ndarray, "images heads cells cells"],
) -> tuple[
    UInt8[np.ndarray, "images heads cells cells"], Float32[np.ndarray, "images heads cells"]
]:
    maxima = attention.max(axis=-1)
    return np.rint(attention / maxima[..., None] * _LEVELS).astype(np.uint8), maxima


def _bytes_from_lowest(
    cosines: Float32[np.ndarray, "images cells cells"],
) -> tuple[UInt8[np.ndarray, "images cells cells"], Float32[np.ndarray, " images"]]:
    lowest = cosines.min(axis=(1, 2))
    # where all cells are equal, all are 255
    span = np.maximum(1 - lowest, np.finfo(np.float32).tiny)[:, None, None]
    share = np.where(span < 1e-6, 1, (cosines - lowest[:, None, None]) / span)
    return np.rint(np.clip(share, 0, 1) * _LEVELS).astype(np.uint8), lowest


def _shown(dataset: PreparedDataset) -> Int64[np.ndarray, " images"]:
    """The first test image of each class, then the second; without labels, evenly spread ones."""
    indices, labels = dataset.indices(SPLIT), dataset.labels(SPLIT)
    classes = np.unique(labels)
    if len(classes) == 1:
        return indices[np.unique(np.arange(IMAGES) * len(indices) // IMAGES)]
    turns = np.zeros(len(labels), dtype=np.int64)
    for label in classes:
        turns[labels == label] = np.arange((labels == label).sum())
    return indices[np.lexsort((labels, turns))[:IMAGES]]


def _pixels(
    dataset: PreparedDataset, indices: Int64[np.ndarray, " images"], size_px: int
) -> UInt8[np.ndarray, "images size size 3"]:
    images = (dataset.image(index).convert("RGB") for index in indices.tolist())
    return np.stack([_resized(np.asarray(image), size_px) for image in images])


def _resized(image: UInt8[np.ndarray, "height width 3"], size_px: int) -> np.ndarray:
    resized = Image.fromarray(image).resize((size_px, size_px), Image.Resampling.BICUBIC)
    return np.asarray(resized)
