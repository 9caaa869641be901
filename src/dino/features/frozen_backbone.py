"""A frozen backbone, seen through one small interface whatever its kind."""

import copy
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dino.core.errors import ConfigurationError
from dino.features.networks.network import Network, Rows
from dino.features.networks.reference_vit import ReferenceVit
from dino.features.networks.timm_network import TimmNetwork
from dino.features.networks.tokens import Attention, Facet, Tokens
from dino.features.pixel_statistics import PixelConversion
from dino.model.reference_vit import ReferencePositionVit, grid_of
from dino.model.student_teacher import feature_dim
from dino.model.timm_folder import PixelStatistics, pixels_of


class FrozenBackbone:
    """Tokens, attention and features of a network that does not learn any more.

    Images are those of `dino.data.normalisation`, of any size and aspect that the network takes;
    what they are turned into is what the network was trained to see. Layers are counted from 0,
    or from the end by negative numbers. Nothing has a gradient.
    """

    def __init__(self, network: nn.Module, sha256: str = "") -> None:
        """`network` is put into evaluation mode; `sha256`: checksum of the file of its weights."""
        self.sha256 = sha256
        self.dim = feature_dim(network)
        """The length of a feature."""
        self.pixels: PixelStatistics = pixels_of(network.pretrained_cfg)  # type: ignore[arg-type]
        """What the network was trained to see."""
        self.stride_px: tuple[int, int] | None = None
        """The distances of neighbouring patches, down and across; None where they touch."""
        network.eval()
        self._network: Network = (
            ReferenceVit(network)
            if isinstance(network, ReferencePositionVit)
            else TimmNetwork(network)
        )
        self._conversion = PixelConversion(self.pixels)

    @property
    def name(self) -> str:
        """The class of the network, as timm calls it."""
        kind = type(self._network.module)
        return "VisionTransformer" if kind is ReferencePositionVit else kind.__name__

    @property
    def layers(self) -> int:
        """The number of blocks; of a convnet, the number of its feature maps."""
        return self._network.layers

    @property
    def heads(self) -> int | None:
        """The number of attention heads of a block; None for a network without."""
        return self._network.heads

    @property
    def prefix_tokens(self) -> int:
        """The number of tokens before the patches: [CLS], distillation and register tokens."""
        return self._network.prefix_tokens

    @property
    def has_cls_token(self) -> bool:
        """Whether the first token of every block is [CLS]."""
        return self._network.has_cls_token

    @property
    def patch_size_px(self) -> tuple[int, int] | None:
        """Height and width of a patch; None for a network without patches."""
        return self._network.patch_size_px

    @property
    def no_attention(self) -> str | None:
        """Why there is no attention, query, key and value; None where there is.

        A network that is not the reference's computes one black image to find out.
        """
        return self._network.no_attention

    @property
    def weights(self) -> dict[str, Tensor]:
        """The weights by timm's names."""
        return self._network.module.state_dict()

    def to(self, device: torch.device) -> "FrozenBackbone":
        """The same backbone, after its weights have moved to `device`."""
        self._network.module.to(device)
        return self

    def with_stride(self, stride_px: int | tuple[int, int]) -> "FrozenBackbone":
        """The same network with patches that begin every `stride_px`, down and across.

        The patch embedding is a convolution of this stride and positions are interpolated to the
        finer grid, as Amir et al. do (2021, "Deep ViT Features as Dense Visual Descriptors").
        Raises `ConfigurationError` for a network that has no patches, or positions for one grid
        alone, and for a stride that is not between 1 and the patch's side.
        """
        strides = (stride_px, stride_px) if isinstance(stride_px, int) else stride_px
        patches = self.patch_size_px
        if patches is None:
            raise ConfigurationError(f"stride: {self.name} has no patches; leave the stride out")
        if not all(1 <= s <= p for s, p in zip(strides, patches, strict=True)):
            raise ConfigurationError(
                f"stride: expected 1 to {' x '.join(map(str, dict.fromkeys(patches)))} px, the "
                f"patch's side, got {' x '.join(map(str, dict.fromkeys(strides)))}"
            )
        strided = copy.copy(self)
        strided._network = self._network.with_stride(strides)
        strided.stride_px = strides
        return strided

    def grid_of(self, size_px: tuple[int, int]) -> tuple[int, int]:
        """The rows and columns of patches in an image of `size_px`, height and width.

        Raises `ConfigurationError` for a network without patches and an image smaller than one.
        """
        if self.patch_size_px is None:
            raise ConfigurationError(f"{self.name} has no patches")
        rows, columns = grid_of(size_px, self.patch_size_px, self.stride_px)
        if min(rows, columns) < 1:
            raise ConfigurationError(
                f"expected images of at least a patch of {' x '.join(map(str, self.patch_size_px))}"
                f" px, got {' x '.join(map(str, size_px))}"
            )
        return rows, columns

    @torch.no_grad()
    def global_feature(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch dim"]:
        """One feature an image: [CLS] after the final norm, or the pooled output.

        It is what timm gives a classifier. Raises `ConfigurationError` for images of a size that
        the network does not take.
        """
        return self.feature_and_patches(images)[0]

    @torch.no_grad()
    def feature_and_patches(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> tuple[Float[Tensor, "batch dim"], Float[Tensor, "batch patches channels"]]:
        """`global_feature`, and the patches (or places) of the last layer after the final norm."""
        return self._network.feature_and_patches(self._seen(images))

    @torch.no_grad()
    def tokens(
        self,
        images: Float[Tensor, "batch 3 height width"],
        layers: Sequence[int] = (-1,),
        facet: Facet = "token",
        *,
        normed: bool = False,
    ) -> tuple[Tokens, ...]:
        """The tokens of each of `layers`, in the order of `layers`.

        A `token` is the output of a block, with `normed` after the network's final norm. Query,
        key and value are those of the block's attention, after a norm of queries and keys that the
        network may have, and before rotary positions turn them; queries are not scaled. Of a
        convnet, and of windowed transformers, layers are the feature maps that timm tells. Raises
        `ConfigurationError` for a layer or a facet that the network does not have.
        """
        if normed and facet != "token":
            raise ConfigurationError(f"normed: expected the facet token, got {facet}")
        chosen = [self._layer(layer) for layer in layers]
        if not chosen:
            return ()
        if facet != "token" and self.no_attention is not None:
            raise ConfigurationError(f"facet {facet}: {self.no_attention}; use token")
        found = self._network.tokens(self._seen(images), chosen, facet, normed)
        return tuple(found[layer] for layer in chosen)

    @torch.no_grad()
    def attention(
        self,
        images: Float[Tensor, "batch 3 height width"],
        layer: int = -1,
        rows: Rows = "all",
    ) -> Attention:
        """How much each token (rows), or [CLS] alone, looks at each token in one block.

        Raises `ConfigurationError` for a network without such attention.
        """
        if self.no_attention is not None:
            raise ConfigurationError(f"attention: {self.no_attention}")
        if rows == "cls" and not self.has_cls_token:
            raise ConfigurationError(f"attention: {self.name} has no [CLS] token in its blocks")
        values, grid = self._network.attention(self._seen(images), self._layer(layer), rows)
        return Attention(values=values, grid=grid, prefix_tokens=self.prefix_tokens)

    def _seen(self, images: Tensor) -> Tensor:
        """The images as the network was trained to see them."""
        if self.patch_size_px is not None:
            height_px, width_px = images.shape[-2:]
            self.grid_of((height_px, width_px))
        return self._conversion(images)

    def _layer(self, layer: int) -> int:
        """The layer counted from 0."""
        if not -self.layers <= layer < self.layers:
            raise ConfigurationError(
                f"layer: expected {-self.layers} to {self.layers - 1} for {self.name}, got {layer}"
            )
        return layer % self.layers
