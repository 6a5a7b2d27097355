"""The transformer between the residual blocks: self-attention, attention to the prompt, feed-forward.

Parameter names are those of the published LDM checkpoints.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from .ops import Ops
from .spec import EncoderSpec


class CrossAttention(nn.Module):
    """Attend from x to the context.

    x [B, N, C], context [B, T, D] or None for x itself  ->  [B, N, C]
    """

    def __init__(
        self,
        channels: int,
        context_dim: int,
        heads: int,
        ops: Ops,
    ) -> None:
        super().__init__()
        self.heads = heads
        self.attention = ops.attention
        self.to_q = ops.Linear(channels, channels, bias=False)
        self.to_k = ops.Linear(context_dim, channels, bias=False)
        self.to_v = ops.Linear(context_dim, channels, bias=False)
        self.to_out = nn.Sequential(ops.Linear(channels, channels))

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        context = x if context is None else context
        return self.to_out(self.attention(self.to_q(x), self.to_k(context), self.to_v(context), self.heads))


class GEGLU(nn.Module):
    """A linear layer whose second half gates the first: [B, N, C] -> [B, N, 4C].

    Source: Shazeer, arXiv 2002.05202.
    """

    def __init__(
        self,
        channels: int,
        hidden: int,
        ops: Ops,
    ) -> None:
        super().__init__()
        self.proj = ops.Linear(channels, 2 * hidden)

    def forward(self, x: Tensor) -> Tensor:
        value, gate = self.proj(x).chunk(2, dim=-1)
        return value * F.gelu(gate)


class FeedForward(nn.Module):
    """[B, N, C] -> [B, N, C] by four times the width; `net.1` is a dropout in the original and holds no weights."""

    def __init__(self, channels: int, ops: Ops) -> None:
        super().__init__()
        self.net = nn.Sequential(
            GEGLU(channels, 4 * channels, ops),
            nn.Identity(),
            ops.Linear(4 * channels, channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


class TransformerBlock(nn.Module):
    """Self-attention, attention to the context, feed-forward, each on a norm and added: [B, N, C] -> [B, N, C]."""

    def __init__(
        self,
        channels: int,
        context_dim: int,
        heads: int,
        ops: Ops,
    ) -> None:
        super().__init__()
        self.attn1 = CrossAttention(channels, channels, heads, ops)
        self.ff = FeedForward(channels, ops)
        self.attn2 = CrossAttention(channels, context_dim, heads, ops)
        self.norm1 = ops.LayerNorm(channels)
        self.norm2 = ops.LayerNorm(channels)
        self.norm3 = ops.LayerNorm(channels)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        x = x + self.attn1(self.norm1(x))
        x = x + self.attn2(self.norm2(x), context)
        return x + self.ff(self.norm3(x))


class SpatialTransformer(nn.Module):
    """Transformer blocks over the cells of a feature map, added to it.

    x [B, C, h, w], context [B, T, D]  ->  [B, C, h, w]

    The norm's eps is 1e-6, the residual blocks' is 1e-5; depth 0 leaves norm and projections (SDXL small has that).
    """

    def __init__(
        self,
        channels: int,
        depth: int,
        spec: EncoderSpec,
        ops: Ops,
    ) -> None:
        super().__init__()
        self.use_linear = spec.use_linear
        heads = spec.heads(channels)
        self.norm = ops.GroupNorm(spec.groups, channels, eps=1e-6)
        if spec.use_linear:
            self.proj_in = ops.Linear(channels, channels)
        else:
            self.proj_in = ops.Conv2d(channels, channels, 1)
        self.transformer_blocks = nn.ModuleList(
            TransformerBlock(channels, spec.context_dim, heads, ops) for _ in range(depth)
        )
        if spec.use_linear:
            self.proj_out = ops.Linear(channels, channels)
        else:
            self.proj_out = ops.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        y = self.norm(x)
        if not self.use_linear:
            y = self.proj_in(y)
        y = y.flatten(2).transpose(1, 2)  # [B, h*w, C]
        if self.use_linear:
            y = self.proj_in(y)
        for block in self.transformer_blocks:
            y = block(y, context)
        if self.use_linear:
            y = self.proj_out(y)
        y = y.transpose(1, 2).reshape(x.shape)  # [B, C, h, w]
        if not self.use_linear:
            y = self.proj_out(y)
        return x + y
