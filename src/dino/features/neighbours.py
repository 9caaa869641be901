"""The nearest training features of each test feature, and the votes of their classes."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Float64, Int64
from torch import Tensor

_BLOCK_SIMILARITIES = 2**25
"""Similarities held at a time: 128 MiB."""


def nearest_neighbours(
    bank: Float[Tensor, "bank dim"], queries: Float[Tensor, "queries dim"], k: int
) -> tuple[Float[Tensor, "queries k"], Int64[Tensor, "queries k"]]:
    """Cosine similarities and bank indices of the k nearest of each query, nearest first.

    Exact; computed in blocks of queries, so that memory grows with the bank and with
    `queries * k` alone. A `k` above the size of the bank gives all of the bank.
    """
    bank = F.normalize(bank, dim=1)
    k = min(k, len(bank))
    similarities = queries.new_empty(len(queries), k)
    indices = torch.empty(len(queries), k, dtype=torch.int64, device=queries.device)
    rows = max(1, _BLOCK_SIMILARITIES // len(bank))
    for start in range(0, len(queries), rows):
        block = slice(start, start + rows)
        nearest = (F.normalize(queries[block], dim=1) @ bank.T).topk(k, dim=1)
        similarities[block], indices[block] = nearest.values, nearest.indices
    return similarities, indices


def class_votes(
    similarities: Float[Tensor, "queries k"],
    labels: Int64[Tensor, "queries k"],
    temperature: float,
    classes: int,
) -> Float64[Tensor, "queries classes"]:
    """The sum of exp(similarity / temperature) over each class's neighbours.

    In float64, which a temperature down to 0.0015 does not overflow (float32: 0.012). The
    reference: `knn_classifier` of eval_knn.py.
    """
    votes = similarities.new_zeros(len(similarities), classes, dtype=torch.float64)
    return votes.scatter_add_(1, labels, (similarities.double() / temperature).exp())
