"""A vision transformer, operation by operation; its parameters carry timm's names."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

LAYER_NORM_EPSILON = 1e-6


class Attention(nn.Module):
    """Multi-head self-attention: softmax(q kᵀ / √d) v."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Float[Tensor, "batch tokens dim"]) -> Float[Tensor, "batch tokens dim"]:
        batch, tokens, dim = x.shape
        qkv = self.qkv(x).reshape(batch, tokens, 3, self.heads, dim // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each: batch heads tokens width
        attention = (q @ k.transpose(-2, -1)) * (dim // self.heads) ** -0.5
        x = attention.softmax(dim=-1) @ v
        return self.proj(x.transpose(1, 2).reshape(batch, tokens, dim))


class Mlp(nn.Module):
    """Linear, GELU, linear."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.act = nn.GELU()
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x: Float[Tensor, "batch tokens dim"]) -> Float[Tensor, "batch tokens dim"]:
        return self.fc2(self.act(self.fc1(x)))


class Block(nn.Module):
    """Attention and MLP, each normalised before and added to what came in."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=LAYER_NORM_EPSILON)
        self.attn = Attention(dim, heads)
        self.norm2 = nn.LayerNorm(dim, eps=LAYER_NORM_EPSILON)
        self.mlp = Mlp(dim, 4 * dim)

    def forward(self, x: Float[Tensor, "batch tokens dim"]) -> Float[Tensor, "batch tokens dim"]:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class PatchEmbed(nn.Module):
    """Patches as tokens: a convolution whose stride is its size."""

    def __init__(self, patch_px: int, dim: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, dim, kernel_size=patch_px, stride=patch_px)

    def forward(self, images: Float[Tensor, "batch 3 h w"]) -> Float[Tensor, "batch dim rows cols"]:
        return self.proj(images)


class VisionTransformer(nn.Module):
    """Images in, normed [CLS] features out. The weights are to be loaded."""

    def __init__(self, *, image_px: int, patch_px: int, dim: int, depth: int, heads: int) -> None:
        super().__init__()
        self.patch_embed = PatchEmbed(patch_px, dim)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + (image_px // patch_px) ** 2, dim))
        self.blocks = nn.ModuleList(Block(dim, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(dim, eps=LAYER_NORM_EPSILON)

    def forward(self, images: Float[Tensor, "batch 3 h w"]) -> Float[Tensor, "batch dim"]:
        patches = self.patch_embed(images)
        rows, columns = patches.shape[2:]
        cls_token = self.cls_token.expand(len(images), -1, -1)
        x = torch.cat([cls_token, patches.flatten(2).transpose(1, 2)], dim=1)
        x = x + self._positions(rows, columns)
        for block in self.blocks:
            x = block(x)
        return self.norm(x)[:, 0]

    def _positions(self, rows: int, columns: int) -> Float[Tensor, "1 tokens dim"]:
        """The reference's rule for other grids: bicubic, by the factor (grid + 0.1) / √N."""
        side = math.isqrt(self.pos_embed.shape[1] - 1)
        if rows == columns == side:
            return self.pos_embed
        grid = self.pos_embed[:, 1:].reshape(1, side, side, -1).permute(0, 3, 1, 2)
        factors = ((rows + 0.1) / side, (columns + 0.1) / side)
        grid = F.interpolate(grid, scale_factor=factors, mode="bicubic")
        return torch.cat([self.pos_embed[:, :1], grid.flatten(2).transpose(1, 2)], dim=1)
