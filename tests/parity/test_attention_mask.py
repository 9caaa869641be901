from collections.abc import Callable, Mapping

import numpy as np
import pytest
import torch

from dino.evaluation.attention import image_scores, pixel_masks
from dino.features.attention_maps import masks_of_mass, upsampled
from dino.features.networks.tokens import Attention
from dino.metrics.jaccard import object_jaccards

Golden = Callable[[str], Mapping[str, np.ndarray]]


def _maps(file: Mapping[str, np.ndarray], image: int) -> torch.Tensor:
    rows, columns = file[f"i{image}/grid"].tolist()
    attention = torch.from_numpy(file[f"i{image}/attentions"])
    return Attention(values=attention, grid=(rows, columns), prefix_tokens=1).of_first_token


def _jaccards(file: Mapping[str, np.ndarray], image: int, mass: float) -> np.ndarray:
    """Of the one object with each head, and with the mean of the heads, of which the reference
    says nothing.
    """
    maps = _maps(file, image)
    maps = torch.cat([maps, maps.mean(dim=1, keepdim=True)], dim=1)
    masks = pixel_masks(maps, mass, int(file[f"i{image}/patch_size"]))
    return object_jaccards(masks[0], file[f"i{image}/gt"].astype(np.uint8))


def test_maps_are_the_references(golden: Golden) -> None:
    file = golden("attention_mask")
    for image in range(int(file["n_images"])):
        maps = _maps(file, image)
        np.testing.assert_array_equal(maps[0], file[f"i{image}/map"])
        pixels = upsampled(maps, int(file[f"i{image}/patch_size"]))
        np.testing.assert_array_equal(pixels[0], file[f"i{image}/map_up"])


def test_masks_are_the_references(golden: Golden) -> None:
    file = golden("attention_mask")
    for image in range(int(file["n_images"])):
        maps = _maps(file, image)
        for mass in file["thresholds"].tolist():
            masks = masks_of_mass(maps, mass)[0]
            np.testing.assert_array_equal(masks, file[f"i{image}/t{mass:g}/mask"] > 0)
            pixels = pixel_masks(maps, mass, int(file[f"i{image}/patch_size"]))[0]
            np.testing.assert_array_equal(pixels, file[f"i{image}/t{mass:g}/mask_up"] > 0)


def test_jaccards_are_the_references(golden: Golden) -> None:
    file = golden("attention_mask")
    for image in range(int(file["n_images"])):
        for mass in file["thresholds"].tolist():
            jaccards = _jaccards(file, image, mass)
            key = f"i{image}/t{mass:g}/jaccard"
            np.testing.assert_allclose(jaccards[0, :-1], file[key], atol=1e-9, rtol=0)
            best = image_scores("paper", [jaccards]).jaccards
            assert best[0] / 100 == pytest.approx(file[f"{key}_max"], abs=1e-9)


def test_mean_over_images_is_the_references(golden: Golden) -> None:
    file = golden("attention_mask")
    tables = [_jaccards(file, image, 0.6) for image in range(int(file["n_images"]))]
    mean = image_scores("paper", tables).jaccards.mean()
    assert mean / 100 == pytest.approx(file["mean_jaccard_max"], abs=1e-9)
