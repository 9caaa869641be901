"""The nearest training features of each test feature, and the votes of their classes.

Exact. On a processor that multiplies bf16 in hardware, candidates are found in bf16 and their
similarities computed anew in float32; where the error of bf16 leaves a doubt whether a candidate
was missed, float32 decides. The similarities exist block by block, so that besides the features
memory grows with `queries * k` alone.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor

from dino.core.precision import resolve_precision

_BANK_ROWS = 2**16
"""Bank features in a block."""
_BLOCK_SIMILARITIES = 2**24
"""Similarities held at a time: 64 MiB in float32."""
_GATHERED = 2**20
"""Numbers of the bank gathered at a time for exact similarities: few enough for a core's cache."""
_WORTH_CANDIDATES = 2**32
"""Multiplications below which candidates save less time than finding them costs."""
_PILOT_QUERIES = 256
_TOLERATED_DOUBT = 0.3
"""Share of the first queries whose candidates may prove too few before float32 does all."""
_SPARE = 4
"""Neighbours beyond k in float32, so that a tie at the k-th place shows."""


@dataclass(frozen=True, kw_only=True)
class _Nearest:
    """The k nearest of each query, and of which queries that is certain."""

    similarities: Float[Tensor, "queries k"]
    indices: Int64[Tensor, "queries k"]
    certain: Bool[Tensor, " queries"]


def nearest_neighbours(
    bank: Float[Tensor, "bank dim"], queries: Float[Tensor, "queries dim"], k: int
) -> tuple[Float[Tensor, "queries k"], Int64[Tensor, "queries k"]]:
    """Cosine similarities and bank indices of the k nearest of each query, nearest first.

    Exact, to float32 rounding; of equal similarities the lower bank index comes first. A `k`
    above the size of the bank gives all of the bank.
    """
    k = min(k, len(bank))
    queries = F.normalize(queries, dim=1)
    if _candidates_pay(bank, queries, k):
        found = _by_candidates(bank, queries, k)
        _decide(found, _in_float32, bank, queries, k)
        return found.similarities, found.indices
    found = _in_float32(bank, queries, k)
    return found.similarities, found.indices


def _candidates_pay(
    bank: Float[Tensor, "bank dim"], queries: Float[Tensor, "queries dim"], k: int
) -> bool:
    """Whether bf16 is fast here, there is enough to do, and these features are far enough apart."""
    # GPUs may add up products in bf16, which no bound here allows for; their float32 is fast
    if bank.dtype != torch.float32 or bank.device.type != "cpu":
        return False
    if resolve_precision("auto", bank.device) != "bf16":
        return False
    if bank.numel() * len(queries) < _WORTH_CANDIDATES or _candidates(k) >= len(bank) // 2:
        return False
    pilot = queries[:: max(1, len(queries) // _PILOT_QUERIES)]
    doubt = ~_by_candidates(bank, pilot, k).certain
    return doubt.double().mean().item() <= _TOLERATED_DOUBT


def _candidates(k: int) -> int:
    """The number of neighbours in bf16 among which the k nearest usually are."""
    return k + max(44, k // 2)


def _by_candidates(
    bank: Float[Tensor, "bank dim"], queries: Float[Tensor, "queries dim"], k: int
) -> _Nearest:
    """Neighbours among candidates found in bf16, certain where no other can be nearer."""
    rough, indices, error = _top(bank, queries, _candidates(k), torch.bfloat16)
    exact = _similarities(bank, queries, indices)
    similarities, indices = _sorted(exact, indices)
    # no feature that is not a candidate is nearer than this: rounding keeps the order, so that
    # what was rounded to less than the last candidate is at most half a unit above that
    farthest = rough[:, -1]
    limit = farthest + _half_unit(farthest, torch.bfloat16) + error
    return _Nearest(
        similarities=similarities[:, :k].contiguous(),
        indices=indices[:, :k].contiguous(),
        certain=similarities[:, k - 1] > limit,
    )


def _half_unit(similarities: Float[Tensor, "*any"], dtype: torch.dtype) -> Float[Tensor, "*any"]:
    """The largest rounding error of numbers that are rounded to `similarities` in `dtype`."""
    return similarities.abs() * (torch.finfo(dtype).eps / 2)


def _in_float32(
    bank: Float[Tensor, "bank dim"], queries: Float[Tensor, "queries dim"], k: int
) -> _Nearest:
    """Neighbours by float32 similarities; a tie at the k-th place goes to the lower index."""
    taken = min(k + _SPARE, len(bank))
    similarities, indices, _ = _top(bank, queries, taken, torch.float32)
    similarities, indices = _sorted(similarities, indices)
    found = _Nearest(
        similarities=similarities[:, :k].contiguous(),
        indices=indices[:, :k].contiguous(),
        # with all of the bank taken nothing is left that could be nearer
        certain=(similarities[:, k - 1] > similarities[:, -1])
        | torch.tensor(taken == len(bank), device=queries.device),
    )
    _decide(found, _by_sorting, bank, queries, k)
    return found


def _by_sorting(
    bank: Float[Tensor, "bank dim"], queries: Float[Tensor, "queries dim"], k: int
) -> _Nearest:
    """Neighbours of queries that have more equally near ones than were looked for."""
    parts = []
    for block in queries.split(max(1, _BLOCK_SIMILARITIES // len(bank))):
        similarities = torch.cat([block @ rows.T for _, rows in _blocks(bank)], dim=1)
        ordered = similarities.sort(dim=1, descending=True, stable=True)
        parts.append((ordered.values[:, :k].clone(), ordered.indices[:, :k].clone()))
    return _Nearest(
        similarities=torch.cat([values for values, _ in parts]),
        indices=torch.cat([indices for _, indices in parts]),
        certain=torch.ones(len(queries), dtype=torch.bool, device=queries.device),
    )


def _decide(
    found: _Nearest,
    decide: Callable[[Tensor, Tensor, int], _Nearest],
    bank: Float[Tensor, "bank dim"],
    queries: Float[Tensor, "queries dim"],
    k: int,
) -> None:
    """Replace in `found` what is not certain by what `decide` finds."""
    doubtful = (~found.certain).nonzero().squeeze(1)
    if len(doubtful):
        decided = decide(bank, queries[doubtful], k)
        found.similarities[doubtful] = decided.similarities
        found.indices[doubtful] = decided.indices


def _top(
    bank: Float[Tensor, "bank dim"],
    queries: Float[Tensor, "queries dim"],
    count: int,
    dtype: torch.dtype,
) -> tuple[
    Float[Tensor, "queries count"], Int64[Tensor, "queries count"], Float[Tensor, " queries"]
]:
    """The `count` largest similarities of each query, computed in `dtype`, in descending order.

    Kept while one block of the bank after the other is looked at. The third value bounds how far
    any similarity of a query, before it is rounded to `dtype`, is from that of the features as
    given.
    """
    rough = queries.to(dtype)
    values = queries.new_full((len(queries), count), -torch.inf)
    indices = torch.zeros(len(queries), count, dtype=torch.int64, device=queries.device)
    farthest = queries.new_zeros(())
    for start, rows in _blocks(bank):
        block = rows.to(dtype)
        farthest = torch.maximum(farthest, (block.float() - rows.float()).norm(dim=1).max())
        taken = min(count, len(block))
        columns = block.T
        panel = max(1, _BLOCK_SIMILARITIES // _BANK_ROWS)
        product = torch.empty(panel * len(block), dtype=dtype, device=bank.device)
        for first in range(0, len(queries), panel):
            part = slice(first, first + panel)
            similarities = product[: len(rough[part]) * len(block)].view(-1, len(block))
            torch.mm(rough[part], columns, out=similarities)
            near = similarities.topk(taken, dim=1, sorted=False)
            both = torch.cat([values[part], near.values.to(values.dtype)], dim=1)
            best = both.topk(count, dim=1)
            values[part] = best.values
            known = torch.cat([indices[part], near.indices + start], dim=1)
            indices[part] = known.gather(1, best.indices)
    if dtype == queries.dtype:
        return values, indices, queries.new_zeros(len(queries))
    # |q'b' - qb| <= |q' - q| + |q'| |b' - b| for unit vectors (Cauchy and Schwarz); products are
    # added up in float32
    moved = (rough.float() - queries).norm(dim=1)
    sums = queries.shape[1] * torch.finfo(torch.float32).eps
    return values, indices, moved + rough.float().norm(dim=1) * farthest + sums


def _blocks(bank: Float[Tensor, "bank dim"]) -> Iterator[tuple[int, Float[Tensor, "rows dim"]]]:
    """The first index of each block, and its features with length 1."""
    for start in range(0, len(bank), _BANK_ROWS):
        yield start, F.normalize(bank[start : start + _BANK_ROWS], dim=1)


def _similarities(
    bank: Float[Tensor, "bank dim"],
    queries: Float[Tensor, "queries dim"],
    indices: Int64[Tensor, "queries count"],
) -> Float[Tensor, "queries count"]:
    """The similarity of each query with the bank's features of these indices, in float32."""
    count, dim = indices.shape[1], queries.shape[1]
    lengths = torch.cat([rows.norm(dim=1) for rows in bank.split(_BANK_ROWS)]).clamp_min(1e-12)
    similarities = queries.new_empty(indices.shape)
    panel = max(1, _GATHERED // (count * dim))
    gathered = queries.new_empty(panel * count, dim)
    for start in range(0, len(queries), panel):
        chosen = indices[start : start + panel]
        features = gathered[: chosen.numel()]
        torch.index_select(bank, 0, chosen.flatten(), out=features)
        products = features.view(-1, count, dim) @ queries[start : start + panel, :, None]
        similarities[start : start + panel] = products.squeeze(2) / lengths[chosen]
    return similarities


def _sorted(
    similarities: Float[Tensor, "queries count"], indices: Int64[Tensor, "queries count"]
) -> tuple[Float[Tensor, "queries count"], Int64[Tensor, "queries count"]]:
    """Both in descending order of similarity, equal ones in ascending order of index."""
    ordered = similarities.sort(dim=1, descending=True)
    indices = indices.gather(1, ordered.indices)
    tied = (ordered.values[:, 1:] == ordered.values[:, :-1]).any(dim=1).nonzero().squeeze(1)
    if len(tied):
        ascending = indices[tied].sort(dim=1)
        similarities = ordered.values[tied].gather(1, ascending.indices)
        again = similarities.sort(dim=1, descending=True, stable=True)
        indices[tied] = ascending.values.gather(1, again.indices)
    return ordered.values, indices


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
