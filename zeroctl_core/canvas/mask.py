"""Masks that say where a control acts: 1 acts, 0 does not, [n, 1, H, W] in the coordinates of the canvas."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from .by_area import resize_by_area
from .placing import check_request, crop_box, fit_box

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


def place_mask(
    mask: Tensor, image_height: int, image_width: int, height: int, width: int, mode: str = "crop"
) -> Tensor:
    """Place a mask as `resize_condition` places the image that it belongs to.

    [H, W], [B, H, W] or [B, 1, H, W] in 0..1  ->  [B, 1, height, width] float32

    A mask of another size than the image covers the same extent. Always by area: a cell that is half covered is 0.5.
    The borders of `fit` are 0: no control acts where there is no picture.

    Raises `ValueError` for an unknown mode, another shape, and values outside of 0..1.
    """
    if mask.ndim == 2:
        mask = mask[None]
    if mask.ndim == 3:
        mask = mask[:, None]
    if mask.ndim != 4 or mask.shape[1] != 1:
        raise ValueError(f"a mask has the shape {tuple(mask.shape)}; expected [H, W], [B, H, W] or [B, 1, H, W]")
    mask = mask.float()
    check_request(mask, height, width, mode)
    low, high = float(mask.min()), float(mask.max())
    if low < 0 or high > 1:
        raise ValueError(f"the values of a mask lie in {low:g}..{high:g}; expected 0 (no control) to 1 (full control)")
    if mode == "crop":
        top, left, kept_h, kept_w = crop_box(image_height, image_width, height, width)
        down, right = mask.shape[2] / image_height, mask.shape[3] / image_width
        window = (top * down, (top + kept_h) * down, left * right, (left + kept_w) * right)
        placed = resize_by_area(mask, height, width, window)
    elif mode == "stretch":
        placed = resize_by_area(mask, height, width)
    else:
        top, left, fit_h, fit_w = fit_box(image_height, image_width, height, width)
        placed = mask.new_zeros(mask.shape[0], 1, height, width)
        placed[:, :, top : top + fit_h, left : left + fit_w] = resize_by_area(mask, fit_h, fit_w)
    return placed.clamp(0, 1)  # the sums of shares round to 1.0000001


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
