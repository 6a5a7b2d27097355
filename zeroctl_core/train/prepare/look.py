"""What a glance at pixels says of a picture or a condition."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import torch
from torch import Tensor

FLAT = 2 / 255
"""A channel whose values differ by no more holds nothing."""
COLOUR = 0.1
"""Channels of a pixel that differ by more are a colour; by less they may be what JPEG made of grey."""
END = 0.1
"""Values that are nearer to 0 or to 1 are black or white."""
LINES = 0.8
"""With so large a share of black and white a grey picture is a drawing, whose lines have soft edges."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """The pixels of a picture in a few numbers."""

    height: int
    width: int
    digest: str  # of the pixels in 8 bits: the same digits, the same picture in whatever format
    is_flat: bool  # one colour
    is_grey: bool
    is_drawing: bool  # black and white
    light: float  # the mean, 0..1


def look_at(pixels: Tensor) -> Look:
    """[3, H, W] in 0..1."""
    values = (pixels.detach().cpu().float().clamp(0, 1) * 255).round().to(torch.uint8).contiguous()
    digest = hashlib.sha256(f"{tuple(values.shape)}".encode() + values.numpy().tobytes())
    spread = pixels.amax(dim=(1, 2)) - pixels.amin(dim=(1, 2))
    grey = bool((pixels.amax(dim=0) - pixels.amin(dim=0)).amax() <= COLOUR)
    ends = ((pixels < END) | (pixels > 1 - END)).float().mean()
    return Look(
        height=pixels.shape[1],
        width=pixels.shape[2],
        digest=digest.hexdigest(),
        is_flat=bool(spread.amax() <= FLAT),
        is_grey=grey,
        is_drawing=grey and float(ends) > LINES,
        light=float(pixels.mean()),
    )
