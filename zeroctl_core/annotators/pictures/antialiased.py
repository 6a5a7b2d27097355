"""Resizing with a filter that widens where it shrinks, on every device."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def antialiased(image: Tensor, size: tuple[int, int], mode: str) -> Tensor:
    """[B, C, H, W] -> [B, C, h, w], on the device of the image; `mode` is bicubic or bilinear.

    Macs have no kernel for it before torch 2.8 (bicubic) and 2.7 (bilinear): there the CPU resizes, to the same
    numbers.
    """
    try:
        return F.interpolate(image, size, mode=mode, antialias=True)
    except NotImplementedError:
        return F.interpolate(image.cpu(), size, mode=mode, antialias=True).to(image.device)
