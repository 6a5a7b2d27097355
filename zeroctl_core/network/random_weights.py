"""A ControlNet of any size with random weights in a second: for checks and timings where no file is at hand."""

from __future__ import annotations

import math
from zlib import crc32

import torch
from torch import Tensor

from ..files.on_meta import on_meta
from .base import Base
from .controlnet import ControlNet
from .ops import TORCH_OPS, Ops

POOL_SIZE = 4_000_000
BRANCH_ENDS = ("out_layers.3.", "proj_out.", "to_out.0.", "ff.net.2.")
BRANCH_END_SCALE = 0.3
"""Keeps the sum of the residual branches from growing with the depth."""
ZERO_CONV_SCALE = 0.1
"""Gives residuals of an RMS of about 0.1 on SD 1.5: not nothing, and not more than what they are added to."""


def random_controlnet(base: Base, seed: int = 0, ops: Ops = TORCH_OPS) -> ControlNet:
    """A ControlNet whose forward stays finite, in float32; equal arguments give equal bits.

    One pool of normal numbers is drawn, and each weight reads it from an offset of its own, scaled by 1/sqrt(fan in):
    drawing every weight would take ten times as long. Norms are 1 and biases 0. The zero convolutions are not zero.
    """
    with on_meta():
        net = ControlNet(base, ops, device="meta")
    pool = torch.randn(POOL_SIZE, generator=torch.Generator().manual_seed(seed))
    net.load_state_dict({name: _value(name, value.shape, pool) for name, value in net.named_parameters()}, assign=True)
    return net.requires_grad_(False).eval()


def _value(name: str, shape: torch.Size, pool: Tensor) -> Tensor:
    if len(shape) == 1:
        return torch.ones(shape) if name.endswith("weight") else torch.zeros(shape)
    scale = 1 / math.sqrt(math.prod(shape[1:]))
    if any(end in name for end in BRANCH_ENDS):
        scale *= BRANCH_END_SCALE
    if name.startswith(("zero_convs.", "middle_block_out.")):
        scale *= ZERO_CONV_SCALE
    n = math.prod(shape)
    offset = crc32(name.encode()) % POOL_SIZE
    # the pool from the offset on, around as often as it takes
    parts = [pool[offset : offset + n]]
    missing = n - parts[0].numel()
    while missing > 0:
        parts.append(pool[:missing])
        missing -= parts[-1].numel()
    return torch.cat(parts).mul_(scale).reshape(shape)
