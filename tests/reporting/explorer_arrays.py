"""The arrays of the attention explorer, for a grid that a reader can check by hand."""

from typing import Any

import numpy as np
from sklearn.datasets import load_digits

GRID, HEADS, IMAGES = 4, 2, 3
CELLS = GRID * GRID


def explorer_arrays(reason: str = "") -> dict[str, Any]:
    """As the stage attention keeps them; with a `reason`, none.

    [CLS] of the teacher attends to cell 5 + image in head 1, to 10 + image in head 2; every cell
    attends to the next in head 1 and to the one before in head 2. Random init attends evenly.
    Cells of the teacher resemble each other the less, the further their numbers are apart.
    """
    if reason:
        return {
            "explorer_reason": np.array(reason),
            "explorer_image": np.zeros((0, 0, 0, 3), np.uint8),
        }
    tokens = 1 + CELLS
    attention = np.full((IMAGES, HEADS, tokens, tokens), 20, dtype=np.uint8)
    for image in range(IMAGES):
        attention[image, 0, 0, 1 + 5 + image] = attention[image, 1, 0, 1 + 10 + image] = 255
    for cell in range(CELLS):
        attention[:, 0, 1 + cell, 1 + (cell + 1) % CELLS] = 255
        attention[:, 1, 1 + cell, 1 + (cell - 1) % CELLS] = 255
    even = np.full_like(attention, 255)
    apart = np.abs(np.subtract.outer(np.arange(CELLS), np.arange(CELLS)))
    similarity = np.broadcast_to(255 - 255 * apart // (CELLS - 1), (IMAGES, CELLS, CELLS))
    digits = load_digits().images[:IMAGES, :, :, None] * np.full(3, 255 / 16)
    arrays: dict[str, Any] = {
        "explorer_reason": np.array(""),
        "explorer_id": np.array([f"test/{i}" for i in range(IMAGES)]),
        "explorer_class_name": np.array(["</script><b>zero", "one", ""]),
        "explorer_image": digits.astype(np.uint8),
        "explorer_image_size_px": np.array(8),
        "explorer_patch_size_px": np.array(2),
        "explorer_patches_per_cell": np.array(1),
    }
    for model, shares, cosines in (
        ("teacher", attention, similarity),
        ("random_init", even, np.full_like(similarity, 255)),
    ):
        arrays |= {
            f"explorer_{model}_attention": shares,
            f"explorer_{model}_row_maximum": (255 / shares.sum(axis=-1)).astype(np.float32),
            f"explorer_{model}_similarity": cosines.astype(np.uint8),
            f"explorer_{model}_lowest_similarity": np.full(IMAGES, -0.5, dtype=np.float32),
        }
    return arrays
