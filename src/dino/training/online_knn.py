"""The k-NN accuracy of the teacher's features while it trains."""

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor, nn

from dino.data.dataset import PreparedDataset
from dino.data.normalisation import normalised
from dino.features.neighbours import class_votes, nearest_neighbours
from dino.features.preprocessing import centre_crop_pixels

_NEIGHBOURS = 20
_TEMPERATURE = 0.07
_BATCH_SIZE = 500


class OnlineKnn:
    """The teacher's k-NN accuracy on val while it trains; the test images are never looked at."""

    def __init__(self, dataset: PreparedDataset, bank_size: int, size_px: int) -> None:
        self._labels = dataset.manifest["label"].to_numpy(dtype=np.int64)
        train = dataset.indices("train")
        train = train[self._labels[train] >= 0]
        # spread over the split, since its images may be in the order of their classes
        spread = np.linspace(0, len(train) - 1, min(bank_size, len(train)))
        self._bank = train[np.round(spread).astype(np.int64)]
        self._queries = dataset.indices("val")
        self._classes = len(dataset.classes)
        self._dataset = dataset
        self._size_px = size_px
        self._pixels: dict[str, Tensor] = {}

    @property
    def is_possible(self) -> bool:
        """Whether there are training images with a label, and every val image has one."""
        return len(self._bank) > 0 and bool((self._labels[self._queries] >= 0).all())

    @torch.no_grad()
    def top1(self, backbone: nn.Module, device: torch.device) -> float:
        """Percentage of val images whose class wins the vote of their 20 nearest neighbours."""
        was_training = backbone.training
        backbone.eval()
        bank = self._features("bank", self._bank, backbone, device)
        queries = self._features("queries", self._queries, backbone, device)
        backbone.train(was_training)
        similarities, neighbours = nearest_neighbours(bank, queries, _NEIGHBOURS)
        labels = torch.from_numpy(self._labels[self._bank])[neighbours.cpu()]
        votes = class_votes(similarities.cpu(), labels, _TEMPERATURE, self._classes)
        truth = torch.from_numpy(self._labels[self._queries])
        return 100 * float((votes.argmax(dim=1) == truth).double().mean())

    def _features(
        self,
        name: str,
        images: Int64[np.ndarray, " images"],
        backbone: nn.Module,
        device: torch.device,
    ) -> Tensor:
        if name not in self._pixels:
            self._pixels[name] = self._read(images)
        batches = self._pixels[name].split(_BATCH_SIZE)
        return torch.cat([backbone(normalised(batch.to(device))).float() for batch in batches])

    def _read(self, images: Int64[np.ndarray, " images"]) -> UInt8[Tensor, "images 3 px px"]:
        size_px = self._size_px
        return torch.stack(
            [centre_crop_pixels(self._dataset.image(int(i)), size_px, size_px) for i in images]
        )
