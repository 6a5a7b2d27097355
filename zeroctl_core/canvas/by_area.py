"""Resize by area: each pixel of the result is the mean of what it covers, fractions of pixels included."""

from __future__ import annotations

import math

import torch
from torch import Tensor

BLOCK = 16
"""Rows of the result that one matrix product makes: few read many of the same rows, and most weights of many
are 0. 4096x4096 to 1024x1024, three channels, takes .12 s on one thread, and 2 s by one product a side."""


def resize_by_area(
    image: Tensor, height: int, width: int, window: tuple[float, float, float, float] | None = None
) -> Tensor:
    """[B, C, H, W] -> [B, C, height, width] in the image's dtype.

    `window` is (top, bottom, left, right) in pixels of the image, fractions allowed; None is all of it.
    Not `F.interpolate(mode="area")`: that one rounds the parts to whole pixels, so that they overlap.
    """
    top, bottom, left, right = window or (0, image.shape[2], 0, image.shape[3])
    planes = image.float()
    batch, channels, H, W = planes.shape
    last = planes.movedim(1, -1)
    if last.is_contiguous():  # a host's picture, whose rows are not copied for it
        rows = _means(last.reshape(batch, H, W * channels), height, top, bottom)
        rows = rows.reshape(batch, height, W, channels).movedim(-1, 1)
    else:
        rows = _means(planes.reshape(batch * channels, H, W), height, top, bottom)
    columns = _means(rows.reshape(batch * channels, height, W).mT, width, left, right)
    return columns.mT.reshape(batch, channels, height, width).to(image.dtype)


def _means(rows: Tensor, n_out: int, start: float, stop: float) -> Tensor:
    """[N, n_in, M] -> [N, n_out, M] float32: the mean of the rows in each of `n_out` equal parts of start..stop."""
    step = (stop - start) / n_out
    means = rows.new_empty(rows.shape[0], n_out, rows.shape[2])
    for at in range(0, n_out, BLOCK):
        end = min(at + BLOCK, n_out)
        first = max(math.floor(start + step * at), 0)
        last = min(math.ceil(start + step * end), rows.shape[1])
        edges = start + step * torch.arange(at, end + 1, dtype=torch.float64)
        cells = torch.arange(first, last, dtype=torch.float64)
        # how much of each cell lies between two neighbouring edges
        overlap = torch.minimum(edges[1:, None], cells + 1) - torch.maximum(edges[:-1, None], cells)
        weights = overlap.clamp(min=0) / step
        means[:, at:end] = weights.to(rows.device, torch.float32) @ rows[:, first:last]
    return means
