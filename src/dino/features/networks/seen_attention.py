"""What the blocks of a network of timm's hand to attention, seen while they compute it.

All of timm's self-attentions end in one function of torch, which gets the queries, keys and values
as they are compared: normed, rotated, with the bias of relative positions beside them. So nothing
of a family's own way to make them has to be known here.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Literal

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

_NORMS: dict[str, Literal["query", "key"]] = {"q_norm": "query", "k_norm": "key"}


@dataclass
class BlockAttention:
    """What one block hands to attention; [batch heads tokens dim] each."""

    query: Float[Tensor, "batch heads tokens dim"]
    key: Float[Tensor, "batch heads tokens dim"]
    value: Float[Tensor, "batch heads tokens dim"]
    bias: Float[Tensor, "*shape"] | None
    """What is added to the scaled products, of relative positions for instance."""
    scale: float
    facets: dict[str, Tensor] = field(default_factory=dict)
    """Query and key before positions turn them, where they are turned."""

    def facet(
        self, name: Literal["query", "key", "value"]
    ) -> Float[Tensor, "batch heads tokens dim"]:
        """A facet, without its position.

        A rotation by the position would make equal patches at two places different.
        """
        facet: Tensor = self.facets.get(name, getattr(self, name))
        return facet

    def softmax(self, first_row_alone: bool) -> Float[Tensor, "batch heads rows tokens"]:
        """The attention of all tokens, or of the first alone, over all tokens."""
        chosen = slice(0, 1) if first_row_alone else slice(None)
        scores = (self.query[:, :, chosen] * self.scale) @ self.key.transpose(-2, -1)
        if self.bias is not None:
            scores = scores + self.bias[..., chosen, :]
        return scores.softmax(dim=-1)


class _Watch(TorchFunctionMode):
    """Records the attention of some blocks, from when it is entered to when it is left."""

    def __init__(self, owner: "SeenBlocks", wanted: Collection[int]) -> None:
        super().__init__()
        self.owner = owner
        self.block: int | None = None
        """The block that computes now, if its attention is wanted."""
        self.calls: dict[int, list[BlockAttention]] = {index: [] for index in wanted}
        self.facets: dict[int, dict[str, Tensor]] = {index: {} for index in wanted}

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is F.scaled_dot_product_attention and self.block is not None:
            self.calls[self.block].append(_handed(*args, **kwargs))
        return func(*args, **kwargs)


def _handed(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> BlockAttention:
    """The arguments of torch's attention; none of timm's networks for images is causal."""
    return BlockAttention(
        query=query, key=key, value=value, bias=attn_mask, scale=scale or query.shape[-1] ** -0.5
    )


_watch: ContextVar[_Watch | None] = ContextVar("watch", default=None)
"""A variable of its own in each thread: several may compute with one network."""


class SeenBlocks:
    """The blocks of a network, whose attention can be seen."""

    def __init__(self, blocks: Sequence[nn.Module]) -> None:
        """The blocks get hooks, which do nothing unless `seen` computes."""
        for index, block in enumerate(blocks):
            block.register_forward_pre_hook(self._entering(index))
            block.register_forward_hook(self._leaving)
            for module in block.modules():
                if hasattr(module, "fused_attn"):
                    # else timm computes attention step by step, and there is nothing to see
                    module.fused_attn = True  # type: ignore[assignment]
                for name, facet in _NORMS.items():
                    norm = getattr(module, name, None)
                    if isinstance(norm, nn.Module):
                        norm.register_forward_hook(self._normed(facet))

    def seen(
        self, wanted: Iterable[int], compute: Callable[[], object]
    ) -> dict[int, list[BlockAttention]]:
        """What each of the blocks `wanted` hands to attention, in order, while `compute` runs."""
        watch = _Watch(self, set(wanted))
        token = _watch.set(watch)
        try:
            with watch:
                compute()
        finally:
            _watch.reset(token)
        for index, calls in watch.calls.items():
            for call in calls:
                call.facets = watch.facets[index]
        return watch.calls

    def _entering(self, index: int) -> Callable[..., None]:
        def hook(*_: object) -> None:
            watch = _watch.get()
            if watch is not None and watch.owner is self and index in watch.calls:
                watch.block = index

        return hook

    def _leaving(self, *_: object) -> None:
        watch = _watch.get()
        if watch is not None and watch.owner is self:
            watch.block = None

    def _normed(self, facet: str) -> Callable[..., None]:
        def hook(_: nn.Module, __: object, output: Tensor) -> None:
            watch = _watch.get()
            if watch is not None and watch.owner is self and watch.block is not None:
                watch.facets[watch.block][facet] = output

        return hook
