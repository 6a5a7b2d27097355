"""Resize by area: each pixel of the result is the mean of what it covers, fractions of pixels included."""

from __future__ import annotations

import torch
from torch import Tensor


def area_weights(n_in: int, n_out: int, start: float, stop: float) -> Tensor:
    """[n_out, n_in] float64: how much of each cell 0..n_in lies in each of `n_out` equal parts of start..stop."""
    step = (stop - start) / n_out
    edges = start + step * torch.arange(n_out + 1, dtype=torch.float64)
    cells = torch.arange(n_in, dtype=torch.float64)
    overlap = torch.minimum(edges[1:, None], cells + 1) - torch.maximum(edges[:-1, None], cells)
    return overlap.clamp(min=0) / step


def resize_by_area(
    image: Tensor, height: int, width: int, window: tuple[float, float, float, float] | None = None
) -> Tensor:
    """[B, C, H, W] -> [B, C, height, width] in the image's dtype.

    `window` is (top, bottom, left, right) in pixels of the image, fractions allowed; None is all of it.
    Not `F.interpolate(mode="area")`: that one rounds the parts to whole pixels, so that they overlap.
    """
    top, bottom, left, right = window or (0, image.shape[2], 0, image.shape[3])
    rows = area_weights(image.shape[2], height, top, bottom).to(image.device, torch.float32)
    columns = area_weights(image.shape[3], width, left, right).to(image.device, torch.float32)
    return (rows @ image.float() @ columns.T).to(image.dtype)
