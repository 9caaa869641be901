"""timm's plain transformer block, with branches that are faster on processors."""

from typing import Any

import torch
from jaxtyping import Float
from timm.layers import Mlp
from timm.models.vision_transformer import Attention, Block
from torch import Tensor, nn

from dino.model.kernels.block_branches import AttentionBranch, MlpBranch
from dino.model.specialised import specialised


class FastBlock(Block):
    """timm's block with faster branches on processors; parameters and their names are the same."""

    def forward(
        self,
        x: Float[Tensor, "batch tokens dim"],
        attn_mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> Float[Tensor, "batch tokens dim"]:
        """The tokens after self-attention and MLP."""
        if attn_mask is not None or is_causal or not self._computes(x):
            return super().forward(x, attn_mask=attn_mask, is_causal=is_causal)
        dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype
        attn: Any = self.attn
        mlp: Any = self.mlp
        attended = AttentionBranch.apply(
            x,
            *(self.norm1.weight, self.norm1.bias, self.norm1.eps),
            *(attn.qkv.weight, attn.qkv.bias, attn.proj.weight, attn.proj.bias),
            *(attn.num_heads, attn.fused_attn, dtype),
        )
        x = x + self.drop_path1(self.ls1(attended))
        processed = MlpBranch.apply(
            x,
            *(self.norm2.weight, self.norm2.bias, self.norm2.eps),
            *(mlp.fc1.weight, mlp.fc1.bias, mlp.fc2.weight, mlp.fc2.bias),
            dtype,
        )
        return x + self.drop_path2(self.ls2(processed))

    def _computes(self, x: Tensor) -> bool:
        """Whether the branches below say what this block and this input ask for."""
        attn: Any = self.attn
        mlp: Any = self.mlp
        inside = (self.norm1, self.norm2, attn, attn.qkv, attn.attn_drop, attn.proj)
        # who hooks into a block's inside expects its modules to be called
        hooked = any(
            module._forward_hooks or module._forward_pre_hooks
            for module in (*inside, mlp, mlp.fc1, mlp.act, mlp.fc2)
        )
        # fused attention keeps no probabilities for a backward
        backward = attn.fused_attn and torch.is_grad_enabled()
        return x.device.type == "cpu" and not hooked and not backward


def fast_blocks(blocks: nn.Sequential) -> nn.Sequential:
    """`blocks`, with a `FastBlock` in place of each plain block."""
    return nn.Sequential(
        *(
            specialised(FastBlock, block) if type(block) is Block and _is_plain(block) else block
            for block in blocks
        )
    )


def _is_plain(block: Block) -> bool:
    """Whether a block is LayerNorm, self-attention, LayerNorm, MLP with biases and exact GELU."""
    attn, mlp = block.attn, block.mlp
    if type(attn) is not Attention or type(mlp) is not Mlp:
        return False
    between = (attn.q_norm, attn.k_norm, attn.norm, mlp.norm)
    dropouts = (attn.attn_drop, attn.proj_drop, mlp.drop1, mlp.drop2)
    linears = (attn.qkv, attn.proj, mlp.fc1, mlp.fc2)
    return (
        all(isinstance(norm, nn.LayerNorm) for norm in (block.norm1, block.norm2))
        and all(isinstance(module, nn.Identity) for module in between)
        and all(dropout.p == 0.0 for dropout in dropouts)
        and all(isinstance(layer, nn.Linear) and layer.bias is not None for layer in linears)
        and isinstance(mlp.act, nn.GELU)
        and mlp.act.approximate == "none"
        and attn.gate is None
    )
