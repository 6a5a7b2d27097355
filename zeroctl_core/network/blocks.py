"""Residual block, halving and doubling of the resolution, and the stage that holds them; LDM parameter names."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .attention import SpatialTransformer
from .ops import Ops


def timestep_embedding(t: Tensor, channels: int, max_period: float = 10000.0) -> Tensor:
    """Cosines, then sines, of the timestep at falling frequencies.

    t [B] in 0..1000, fractions allowed  ->  [B, channels] in float32

    Source: Vaswani et al., arXiv 1706.03762, 3.5, in the order that LDM uses.
    """
    half = channels // 2
    steps = torch.arange(half, dtype=torch.float32, device=t.device)
    # the order of the operations is LDM's: another rounds the angle at t = 999 by 3e-5, which a residual shows
    frequencies = torch.exp(-math.log(max_period) * steps / half)
    angles = t.float()[:, None] * frequencies  # bf16 would round t = 999 to 1000
    embedding = torch.cat((angles.cos(), angles.sin()), dim=-1)
    return F.pad(embedding, (0, channels % 2))


class ResBlock(nn.Module):
    """Two convolutions with the timestep added between them, on a skip.

    x [B, C_in, h, w], emb [B, 4 * model_channels]  ->  [B, C_out, h, w]
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        embedding_channels: int,
        groups: int,
        ops: Ops,
    ) -> None:
        super().__init__()
        self.in_layers = nn.Sequential(
            ops.GroupNorm(groups, in_channels, eps=1e-5),
            nn.SiLU(),
            ops.Conv2d(in_channels, out_channels, 3, padding=1),
        )
        self.emb_layers = nn.Sequential(nn.SiLU(), ops.Linear(embedding_channels, out_channels))
        self.out_layers = nn.Sequential(
            ops.GroupNorm(groups, out_channels, eps=1e-5),
            nn.SiLU(),
            nn.Identity(),  # a dropout in the original: it keeps the number of the next layer
            ops.Conv2d(out_channels, out_channels, 3, padding=1),
        )
        if in_channels == out_channels:
            self.skip_connection: nn.Module = nn.Identity()
        else:
            self.skip_connection = ops.Conv2d(in_channels, out_channels, 1)

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        h = self.in_layers(x) + self.emb_layers(emb)[:, :, None, None]
        return self.skip_connection(x) + self.out_layers(h)


class Downsample(nn.Module):
    """Halve the resolution by a strided convolution: [B, C, h, w] -> [B, C, ceil(h/2), ceil(w/2)]."""

    def __init__(self, channels: int, ops: Ops) -> None:
        super().__init__()
        self.op = ops.Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.op(x)


class Upsample(nn.Module):
    """Repeat cells up to a size, then convolve: [B, C, h, w] -> [B, C, *size].

    The size is that of the next skip: doubling would miss it where a side of the latent was odd.
    """

    def __init__(self, channels: int, ops: Ops) -> None:
        super().__init__()
        self.conv = ops.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        return self.conv(F.interpolate(x, size=size, mode="nearest"))


class Stage(nn.Sequential):
    """One entry of `input_blocks`, `output_blocks` or the middle: layers in order, each given what it needs."""

    def forward(  # type: ignore[override]  # a plain sequence would hand on x alone
        self, x: Tensor, emb: Tensor, context: Tensor, size: tuple[int, int] | None = None
    ) -> Tensor:
        for layer in self:
            if isinstance(layer, ResBlock):
                x = layer(x, emb)
            elif isinstance(layer, SpatialTransformer):
                x = layer(x, context)
            elif isinstance(layer, Upsample):
                x = layer(x, x.shape[-2:] if size is None else size)
            else:
                x = layer(x)
        return x
