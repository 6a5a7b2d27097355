"""Masks that say where a control acts: 1 acts, 0 does not, [n, 1, H, W] in the coordinates of the canvas."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

SIGMAS_IN_FEATHER = 2.0  # 95 % of a Gaussian edge lies within two standard deviations of it


def check_mask(mask: Tensor) -> None:
    """Refuse, with a `ValueError`, what is not [n, 1, H, W] with n >= 1 and finite values in 0..1."""
    if mask.ndim != 4 or mask.shape[0] < 1 or mask.shape[1] != 1:
        raise ValueError(f"the mask has the shape {tuple(mask.shape)}; expected [n, 1, H, W] with at least one mask")
    low, high = mask.aminmax()
    # written so that a NaN, which compares with nothing, is refused too
    if not (low >= 0.0 and high <= 1.0):
        raise ValueError(
            f"the mask has values from {low.item():g} to {high.item():g}; expected 0 (the control does not act) to 1"
        )


def prepare_mask(mask: Tensor, feather: float = 0.0, invert: bool = False) -> Tensor:
    """Soften the edge of a mask, and turn it round if asked: [n, 1, H, W] in 0..1 -> the same, a new tensor in float32.

    `feather` is the distance in pixels of the canvas over which an edge fades to either side, as a Gaussian with half
    of it as its standard deviation. Beyond the border the mask goes on as it ends there.

    Raises `ValueError` for what is not a mask and for a negative or infinite feather.
    """
    check_mask(mask)
    if not (math.isfinite(feather) and feather >= 0.0):
        raise ValueError(f"the mask's feather is {feather} pixels; expected 0 or more")
    mask = 1.0 - mask.float() if invert else mask.float().clone()
    return _blurred(mask, feather / SIGMAS_IN_FEATHER) if feather > 0.0 else mask


def _blurred(mask: Tensor, sigma: float) -> Tensor:
    radius = math.ceil(3.0 * sigma)
    distance = torch.arange(-radius, radius + 1, dtype=torch.float32, device=mask.device)
    kernel = torch.exp(-0.5 * (distance / sigma) ** 2)
    kernel = kernel / kernel.sum()
    mask = F.conv2d(F.pad(mask, (radius, radius, 0, 0), mode="replicate"), kernel.reshape(1, 1, 1, -1))
    mask = F.conv2d(F.pad(mask, (0, 0, radius, radius), mode="replicate"), kernel.reshape(1, 1, -1, 1))
    return mask.clamp(0.0, 1.0)  # a sum of 2 radius + 1 rounded shares can end a few 1e-7 outside
