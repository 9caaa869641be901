"""Weighted k-NN as a plain loop over blocks of queries, in float32."""

import torch
import torch.nn.functional as F
from torch import Tensor

BLOCKS = 100


def predictions(
    bank: Tensor, labels: Tensor, queries: Tensor, *, k: int, temperature: float, classes: int
) -> Tensor:
    """The class of each query; all similarities of a block of queries are held at a time."""
    bank = F.normalize(bank, dim=1)
    found = []
    for block in queries.chunk(BLOCKS):
        similarities = F.normalize(block, dim=1) @ bank.T
        nearest = similarities.topk(k, dim=1)
        weights = (nearest.values / temperature).exp()
        votes = torch.zeros(len(block), classes)
        votes.scatter_add_(1, labels[nearest.indices], weights)
        found.append(votes.argmax(dim=1))
    return torch.cat(found)
