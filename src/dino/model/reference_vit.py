"""timm's vision transformer with the reference's rule for positions at other image sizes."""

from typing import TypeGuard

import torch
import torch.nn.functional as F
from jaxtyping import Float
from timm.layers import PatchEmbed
from timm.models.vision_transformer import Attention, Block, VisionTransformer
from torch import Tensor, nn

from dino.model.kernels.matrix_product import linear
from dino.model.specialised import specialised
from dino.model.transformer_block import fast_blocks


class ReferencePositionVit(VisionTransformer):
    """timm's vision transformer with the reference's positional embedding at other image sizes.

    The reference scales the grid of positions bicubically by (patches + 0.1) / √N and takes that
    factor literally as the distance between samples; timm's `dynamic_img_size` uses the ratio of
    the sizes, with antialiasing. The [CLS] features of the two differ by 1.7 % at 96 px.
    Departure: √N is the side of a square grid, which the reference takes for granted; here the
    rows and columns are those of the images that the network was made for.
    """

    # always there in the architectures that this project builds
    pos_embed: nn.Parameter
    cls_token: nn.Parameter

    def prepare_tokens(
        self,
        images: Float[Tensor, "batch 3 height width"],
        stride_px: tuple[int, int] | None = None,
    ) -> Float[Tensor, "batch tokens dim"]:
        """[CLS] and patch tokens with their positions added: the input of the first block.

        `stride_px`: the distances of neighbouring patches; None where they touch.
        """
        # timm's patch embedding refuses sizes that are no multiple of the patch, where the
        # reference drops the rest; and what touching patches need is a matrix product, which is
        # faster than the convolution
        proj = self.patch_embed.proj
        height_px, width_px = images.shape[-2:]
        rows, columns = self.grid_of((height_px, width_px), stride_px)
        if stride_px in (None, self.patch_embed.patch_size):
            pixels = _patches(images, rows, columns, *proj.kernel_size)
            patches = linear(pixels, proj.weight.flatten(1), proj.bias)
        else:
            patches = F.conv2d(images, proj.weight, proj.bias, stride=stride_px)
            patches = patches.flatten(2).transpose(1, 2)
        same_grid = (rows, columns) == self.patch_embed.grid_size
        # the reference interpolates for images that are not square, whatever their grid
        is_square = height_px == width_px
        made_for_squares = len(set(self.patch_embed.img_size)) == 1
        same_size = same_grid and (is_square or not made_for_squares)
        positions = self.pos_embed if same_size else self.positions_at(rows, columns)
        cls_token = self.cls_token.expand(len(images), -1, -1)
        return self.norm_pre(torch.cat([cls_token, patches], dim=1) + positions)

    def grid_of(
        self, size_px: tuple[int, int], stride_px: tuple[int, int] | None = None
    ) -> tuple[int, int]:
        """The rows and columns of patches in an image of `size_px`; what is left is dropped."""
        return grid_of(size_px, self.patch_embed.patch_size, stride_px)

    def positions_at(self, rows: int, columns: int) -> Float[Tensor, "1 tokens dim"]:
        """The positional embedding for a grid of `rows` by `columns` patches."""
        cls_position, patch_positions = self.pos_embed[:, :1], self.pos_embed[:, 1:]
        height, width = self.patch_embed.grid_size
        scaled = F.interpolate(
            patch_positions.reshape(1, height, width, -1).permute(0, 3, 1, 2).float(),
            scale_factor=((rows + 0.1) / height, (columns + 0.1) / width),
            mode="bicubic",
        )
        assert scaled.shape[-2:] == (rows, columns)
        scaled = scaled.to(cls_position.dtype)
        return torch.cat([cls_position, scaled.flatten(2).transpose(1, 2)], dim=1)

    def forward_features(
        self, x: Tensor, attn_mask: Tensor | None = None, is_causal: bool = False
    ) -> Tensor:
        """[CLS] and patch tokens after the final norm."""
        return self.norm(self.blocks(self.prepare_tokens(x)))


def grid_of(
    size_px: tuple[int, int], patch_size_px: tuple[int, int], stride_px: tuple[int, int] | None
) -> tuple[int, int]:
    """The rows and columns of whole patches in an image; all pairs are height and width.

    `stride_px`: the distances of neighbouring patches; None where they touch.
    """
    rows, columns = (
        1 + (side - patch) // stride
        for side, patch, stride in zip(
            size_px, patch_size_px, stride_px or patch_size_px, strict=True
        )
    )
    return rows, columns


def is_plain_vit(backbone: nn.Module) -> TypeGuard[VisionTransformer]:
    """Whether a network of timm's is the reference's in all but its sizes.

    One [CLS] token with a position of its own, no other extra tokens, and the final norm on all
    tokens: what `ReferencePositionVit` computes. Layer scale, and a norm before the blocks, may
    be there.
    """
    return (
        type(backbone) is VisionTransformer
        and backbone.cls_token is not None
        and backbone.num_prefix_tokens == 1
        and backbone.pos_embed is not None
        and not backbone.no_embed_class
        and backbone.global_pool == "token"
        and backbone.attn_pool is None
        and isinstance(backbone.fc_norm, nn.Identity)
        and type(backbone.patch_embed) is PatchEmbed
        and isinstance(backbone.patch_embed.norm, nn.Identity)
        and not backbone.patch_embed.dynamic_img_pad
        and all(type(block) is Block and type(block.attn) is Attention for block in backbone.blocks)
    )


def use_reference_positions(
    backbone: VisionTransformer, fused_attention: bool
) -> ReferencePositionVit:
    """`backbone` with the reference's interpolation of positions for other image sizes."""
    vit = specialised(ReferencePositionVit, backbone)
    vit.blocks = fast_blocks(vit.blocks)
    for module in vit.modules():
        if isinstance(module, Attention):
            # timm declares it final for the sake of TorchScript
            module.fused_attn = fused_attention  # type: ignore[misc]
    return vit


def _patches(
    images: Float[Tensor, "batch channels height width"],
    rows: int,
    columns: int,
    height_px: int,
    width_px: int,
) -> Float[Tensor, "batch patches pixels"]:
    """The pixels of each patch in the order of a convolution's weight."""
    used = images[..., : rows * height_px, : columns * width_px]
    grid = used.unflatten(-1, (columns, width_px)).unflatten(-3, (rows, height_px))
    # [batch channels rows height columns width]
    return grid.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)
