"""Any other network of timm's: its feature maps, and its attention where it has it."""

import copy
import inspect
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from dino.core.errors import ConfigurationError
from dino.features.networks.network import Rows
from dino.features.networks.seen_attention import BlockAttention, SeenBlocks
from dino.features.networks.tokens import Facet, Tokens
from dino.model.reference_vit import grid_of


class OverlappingPatches(nn.Module):
    """A patch embedding of timm's whose patches begin every `stride_px`, on their grid.

    Its weights are those of the embedding; what does not fill a patch is dropped.
    """

    def __init__(self, embedding: Any, stride_px: tuple[int, int]) -> None:
        super().__init__()
        self.proj = embedding.proj
        self.norm = embedding.norm
        self.patch_size = embedding.patch_size
        self.grid_size = embedding.grid_size
        self.stride_px = stride_px

    def dynamic_feat_size(self, img_size: tuple[int, int]) -> tuple[int, int]:
        """The rows and columns of patches: timm asks for them by this name."""
        return grid_of(img_size, self.patch_size, self.stride_px)

    def forward(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch rows columns dim"]:
        patches = F.conv2d(images, self.proj.weight, self.proj.bias, stride=self.stride_px)
        embedded: Tensor = self.norm(patches.movedim(1, -1))
        return embedded


class TimmNetwork:
    """A network by what timm's networks have in common: `forward_intermediates`, above all."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        # what timm's networks have, torch's do not
        timms: Any = module
        self._timms = timms
        intermediates = getattr(module, "forward_intermediates", None)
        self._options = set(inspect.signature(intermediates).parameters) if intermediates else set()
        # where timm tells no others, the last feature map is all
        self.layers = len(timms.feature_info) if intermediates else 1
        # some networks have [CLS] in their last blocks alone, which timm then does not tell
        self.prefix_tokens = (
            int(timms.num_prefix_tokens) if "return_prefix_tokens" in self._options else 0
        )
        # registers too come before the patches
        self.has_cls_token = self.prefix_tokens > 0 and timms.cls_token is not None
        self.patch_size_px = _patch_size_px(module)

    @cached_property
    def _seen(self) -> SeenBlocks | None:
        """The blocks, where each is a layer."""
        blocks = getattr(self.module, "blocks", None)
        if not isinstance(blocks, nn.Sequential | nn.ModuleList) or len(blocks) != self.layers:
            return None
        return SeenBlocks(list(blocks))

    @cached_property
    def heads(self) -> int | None:
        """The number of heads of the last block."""
        last = self._probe
        return None if last is None else last.query.shape[1]

    @property
    def no_attention(self) -> str | None:
        """Why there are no queries, keys, values and attention to see; None where there are."""
        if self._probe is not None:
            return None
        return f"{type(self.module).__name__} has no self-attention of all tokens in its blocks"

    @cached_property
    def _probe(self) -> BlockAttention | None:
        """The attention of the last block on one black image, as small as the network takes."""
        if self._seen is None:
            return None
        size_px = getattr(getattr(self.module, "patch_embed", None), "img_size", None)
        height_px, width_px = size_px or self._timms.pretrained_cfg["input_size"][-2:]
        if self._takes_any_size and self.patch_size_px is not None:
            height_px, width_px = (2 * side for side in self.patch_size_px)
        image = next(self.module.parameters()).new_zeros(1, 3, height_px, width_px)
        attention, _ = self._attention(image, [self.layers - 1])
        return attention.get(self.layers - 1)

    @property
    def _takes_any_size(self) -> bool:
        """Whether the network interpolates its positions to the image."""
        return bool(getattr(self.module, "dynamic_img_size", False))

    def with_stride(self, stride_px: tuple[int, int]) -> "TimmNetwork":
        """The same network with overlapping patches.

        Positions are those that timm gives a grid as fine as that. Raises `ConfigurationError` for
        a network that has positions for one grid alone, or no patches.
        """
        embedding = getattr(self.module, "patch_embed", None)
        fits = isinstance(getattr(embedding, "proj", None), nn.Conv2d) and hasattr(
            embedding, "grid_size"
        )
        if not fits or not self._takes_any_size:
            raise ConfigurationError(
                f"stride: {type(self.module).__name__} has no patches whose positions can be "
                "interpolated; leave the stride out"
            )
        # the same for every stride, and known of the copy too
        _ = self._probe
        # the parts are the same, but for one
        module = copy.copy(self.module)
        module._modules = dict(module._modules)
        module.patch_embed = OverlappingPatches(embedding, stride_px)
        strided = copy.copy(self)
        strided.module, strided._timms = module, module
        return strided

    def feature_and_patches(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> tuple[Float[Tensor, "batch dim"], Float[Tensor, "batch patches channels"]]:
        """The pooled output before a classifier, and the last feature map."""
        images = self._fitting(images)
        last = self._computed(self._timms.forward_features, images)
        if not isinstance(last, Tensor):
            raise ConfigurationError(
                f"{type(self.module).__name__} has several last feature maps, of which no one "
                "stands for the image; take another architecture"
            )
        feature = self._timms.forward_head(last, pre_logits=True)
        if last.ndim == 4:
            # convnets put channels first, windowed transformers last
            is_last = getattr(self.module, "output_fmt", "NCHW") == "NHWC"
            return feature, (last if is_last else last.movedim(1, -1)).flatten(1, 2)
        # of [CLS] and register tokens there may be none or several
        return feature, last[:, getattr(self.module, "num_prefix_tokens", 1) :]

    def tokens(
        self,
        images: Float[Tensor, "batch 3 height width"],
        layers: Sequence[int],
        facet: Facet,
        normed: bool,
    ) -> dict[int, Tokens]:
        """The tokens of each of `layers`."""
        images = self._fitting(images)
        if facet == "token":
            return self._maps(images, layers, normed)
        seen, grid = self._attention(images, layers)
        found = {}
        for layer in layers:
            if layer not in seen:
                raise ConfigurationError(f"{facet}: {self._no_attention_in(layer)}")
            values = seen[layer].facet(facet)
            found[layer] = Tokens(
                values=values.transpose(1, 2).flatten(2),
                grid=grid,
                prefix_tokens=self.prefix_tokens,
                heads=values.shape[1],
            )
        return found

    def attention(
        self, images: Float[Tensor, "batch 3 height width"], layer: int, rows: Rows
    ) -> tuple[Float[Tensor, "batch heads rows tokens"], tuple[int, int]]:
        """The softmax that the block computes."""
        seen, grid = self._attention(self._fitting(images), [layer])
        if layer not in seen:
            raise ConfigurationError(f"attention: {self._no_attention_in(layer)}")
        return seen[layer].softmax(first_row_alone=rows == "cls"), grid

    def _no_attention_in(self, layer: int) -> str:
        return f"{self.no_attention or f'{type(self.module).__name__} has none in layer {layer}'}"

    def _attention(
        self, images: Tensor, layers: Sequence[int]
    ) -> tuple[dict[int, BlockAttention], tuple[int, int]]:
        """The attention of those of `layers` whose one attention is over all tokens."""
        maps: dict[int, Tokens] = {}
        if self._seen is None:
            return {}, (0, 0)
        seen = self._seen.seen(layers, lambda: maps.update(self._maps(images, layers, False)))
        tokens = next(iter(maps.values()))
        expected = (len(images), tokens.values.shape[1])
        return {
            layer: calls[0]
            for layer, calls in seen.items()
            if len(calls) == 1 and _rows(calls[0].query) == _rows(calls[0].key) == expected
        }, tokens.grid

    def _maps(self, images: Tensor, layers: Sequence[int], normed: bool) -> dict[int, Tokens]:
        """The outputs of `layers` as tokens."""
        ordered = sorted(set(layers))
        if not self._options:
            last = self._computed(self._timms.forward_features, images)
            if last.ndim != 4:
                raise ConfigurationError(
                    f"token: timm tells no feature maps of {type(self.module).__name__}"
                )
            if getattr(self.module, "output_fmt", "NCHW") == "NHWC":
                last = last.movedim(-1, 1)
            return {0: self._of_map(last, None)}
        options: dict[str, Any] = {"indices": ordered, "intermediates_only": True, "norm": normed}
        options["stop_early"] = True
        if self.prefix_tokens:
            options["return_prefix_tokens"] = True
        maps = self._computed(self._timms.forward_intermediates, images, **options)
        pairs = maps if self.prefix_tokens else [(map_, None) for map_ in maps]
        return {layer: self._of_map(*pair) for layer, pair in zip(ordered, pairs, strict=True)}

    def _of_map(self, map_: Tensor, prefix: Tensor | None) -> Tokens:
        values = map_.flatten(2).transpose(1, 2)
        if prefix is not None:
            values = torch.cat([prefix, values], dim=1)
        rows, columns = map_.shape[-2:]
        return Tokens(
            values=values, grid=(rows, columns), prefix_tokens=self.prefix_tokens, heads=1
        )

    def _fitting(self, images: Tensor) -> Tensor:
        """The images without what does not fill a patch, where the network takes any size."""
        if self.patch_size_px is None or not self._takes_any_size:
            return images
        height_px, width_px = (
            side // patch * patch
            for side, patch in zip(images.shape[-2:], self.patch_size_px, strict=True)
        )
        is_strided = isinstance(self._timms.patch_embed, OverlappingPatches)
        return images if is_strided else images[..., :height_px, :width_px]

    def _computed(self, method: Any, images: Tensor, **options: Any) -> Any:
        """What a method of timm's gives; raises `ConfigurationError` for images it refuses."""
        try:
            return method(images, **options)
        except torch.OutOfMemoryError:
            raise
        except (AssertionError, RuntimeError, ValueError) as error:
            # timm's networks of a fixed size refuse others in as many ways
            height_px, width_px = images.shape[-2:]
            size = height_px if height_px == width_px else f"{height_px} x {width_px}"
            raise ConfigurationError(
                f"crop_px: expected what {type(self.module).__name__} takes, got {size} "
                f"({' '.join(str(error).split())[:200]})"
            ) from None


def _rows(tensor: Tensor) -> tuple[int, int]:
    """The number of images and of tokens in a query or key."""
    return (len(tensor), tensor.shape[-2]) if tensor.ndim == 4 else (0, 0)


def _patch_size_px(module: nn.Module) -> tuple[int, int] | None:
    """Height and width of a patch, for a network whose layers all have the same patches."""
    embedding: Any = getattr(module, "patch_embed", None)
    if getattr(embedding, "patch_size", None) is None:
        return None
    # the patches of a hybrid are those of a convnet's map
    ratio = getattr(embedding, "feat_ratio", None)
    size = embedding.patch_size if ratio is None else ratio(as_scalar=False)
    height_px, width_px = (size, size) if isinstance(size, int) else size
    infos: Any = getattr(module, "feature_info", [])
    reductions = {info["reduction"] for info in infos}
    return (height_px, width_px) if reductions == {max(height_px, width_px)} else None
