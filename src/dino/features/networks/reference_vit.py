"""A vision transformer of the reference: its tokens and attention, block by block."""

from collections.abc import Sequence

from jaxtyping import Float
from timm.models.vision_transformer import Attention, Block
from torch import Tensor, nn

from dino.features.networks.network import Rows
from dino.features.networks.tokens import Facet, Tokens
from dino.model.reference_vit import ReferencePositionVit

_HEADS_FIRST = ("query", "key", "value")


class ReferenceVit:
    """One [CLS] token, positions at any size by the reference's rule, the final norm on all."""

    no_attention: str | None = None
    prefix_tokens = 1
    has_cls_token = True

    def __init__(
        self, module: ReferencePositionVit, stride_px: tuple[int, int] | None = None
    ) -> None:
        """`stride_px`: None for patches that touch."""
        self.module: nn.Module = module
        self._vit = module
        self._stride_px = stride_px
        height_px, width_px = module.patch_embed.patch_size
        self.patch_size_px: tuple[int, int] | None = (height_px, width_px)
        self.layers = len(module.blocks)
        self.heads: int | None = _attention_of(module.blocks[0]).num_heads

    def with_stride(self, stride_px: tuple[int, int]) -> "ReferenceVit":
        """The same network with overlapping patches."""
        return ReferenceVit(self._vit, stride_px)

    def feature_and_patches(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> tuple[Float[Tensor, "batch dim"], Float[Tensor, "batch patches channels"]]:
        """[CLS] and the patches of the last block after the final norm."""
        tokens = self._vit.norm(self._vit.blocks(self._embedded(images)))
        return tokens[:, 0], tokens[:, 1:]

    def tokens(
        self,
        images: Float[Tensor, "batch 3 height width"],
        layers: Sequence[int],
        facet: Facet,
        normed: bool,
    ) -> dict[int, Tokens]:
        """The tokens of each of `layers`; the blocks behind the last of them are not computed."""
        grid, found = self._grid(images), {}
        values = self._embedded(images)
        for index, block in enumerate(self._vit.blocks[: max(layers) + 1]):
            if facet != "token" and index in layers:
                chosen = _facets(block, values)[_HEADS_FIRST.index(facet)]
                found[index] = Tokens(
                    values=chosen.transpose(1, 2).flatten(2),
                    grid=grid,
                    prefix_tokens=1,
                    heads=chosen.shape[1],
                )
            values = block(values)
            if facet == "token" and index in layers:
                output = self._vit.norm(values) if normed else values
                found[index] = Tokens(values=output, grid=grid, prefix_tokens=1, heads=1)
        return found

    def attention(
        self, images: Float[Tensor, "batch 3 height width"], layer: int, rows: Rows
    ) -> tuple[Float[Tensor, "batch heads rows tokens"], tuple[int, int]]:
        """The softmax of the scaled products of queries and keys."""
        tokens = self._vit.blocks[:layer](self._embedded(images))
        block = self._vit.blocks[layer]
        queries, keys, _ = _facets(block, tokens)
        if rows == "cls":
            queries = queries[:, :, :1]
        scores = (queries * _attention_of(block).scale) @ keys.transpose(-2, -1)
        return scores.softmax(dim=-1), self._grid(images)

    def _embedded(self, images: Tensor) -> Tensor:
        return self._vit.prepare_tokens(images, self._stride_px)

    def _grid(self, images: Tensor) -> tuple[int, int]:
        height_px, width_px = images.shape[-2:]
        return self._vit.grid_of((height_px, width_px), self._stride_px)


def _attention_of(block: nn.Module) -> Attention:
    assert isinstance(block, Block) and isinstance(block.attn, Attention)
    return block.attn


def _facets(block: nn.Module, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Queries (not scaled), keys and values of a block, [batch heads tokens dim] each."""
    assert isinstance(block, Block)
    attention = _attention_of(block)
    projected = attention.qkv(block.norm1(tokens))
    # [batch, tokens, (q k v) heads dim] -> [q k v, batch, heads, tokens, dim]
    queries, keys, values = projected.unflatten(-1, (3, attention.num_heads, -1)).permute(
        2, 0, 3, 1, 4
    )
    return attention.q_norm(queries), attention.k_norm(keys), values
