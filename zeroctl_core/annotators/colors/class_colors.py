"""Class numbers in the exact colours of a palette, and back."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..pictures.pixels import from_uint8
from .palette import palette_colors

NO_CLASS = -1
"""What black stands for: pixels of no class."""

CHUNK = 1 << 12
"""Colours compared at a time: their distances to 150 classes, 2.5 MB, stay in the processor's cache."""


def paint_classes(ids: Tensor, palette: str = "ade20k") -> Tensor:
    """Class numbers as colours; every number that the palette lacks is black.

    [B, H, W] whole numbers  ->  [B, 3, H, W] float32 in 0..1, each channel a multiple of 1/255

    Raises `ValueError` for another shape, for a type that is not of whole numbers and for an unknown palette.
    """
    if ids.ndim != 3 or ids.is_floating_point() or ids.is_complex() or ids.dtype == torch.bool:
        raise ValueError(
            f"class numbers have the shape {tuple(ids.shape)} and the type {ids.dtype}; "
            "expected [B, H, W] of whole numbers"
        )
    colors = palette_colors(palette)
    table = np.concatenate([colors, np.zeros((1, 3), np.uint8)])  # black last, so that -1 is black too
    rows = ids.long().cpu().numpy()
    return from_uint8(table[np.where((rows >= 0) & (rows < len(colors)), rows, -1)], ids.device)


def nearest_classes(pixels: np.ndarray, colors: np.ndarray, smallest: int = 1) -> np.ndarray:
    """[H, W, 3] uint8, a palette [N, 3] uint8 -> [H, W] int64 class numbers, -1 for black.

    Nearest by the squared difference of the 8-bit values; of two equally near the lower class, black last. Classes that
    fill no square of `smallest` pixels are left out and their pixels are decided again, unless the map is exact.
    """
    targets = np.concatenate([colors, np.zeros((1, 3), np.uint8)])  # black last
    # every colour is decided once, however many pixels have it
    packed = pixels.astype(np.int64) @ (1 << 16, 1 << 8, 1)
    codes, where = np.unique(packed, return_inverse=True)
    where = where.reshape(packed.shape)  # flat in some versions of NumPy
    distinct = np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=1)
    rows = _nearest(distinct, targets)
    if smallest > 1 and not np.array_equal(targets[rows], distinct):
        wide = _that_fill_a_square(rows[where], smallest)
        is_narrow = ~np.isin(rows, wide)
        if len(wide) and is_narrow.any():
            rows[is_narrow] = wide[_nearest(distinct[is_narrow], targets[wide])]
    ids = rows[where]
    return np.where(ids == len(colors), NO_CLASS, ids)


def _nearest(colors: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """[N, 3], [T, 3] of 8-bit values -> [N] int64, the row of the nearest target, the first of equals.

    Without the square of the colour itself, which is the same for all targets. All numbers are whole and below 2^24,
    so that float32 is exact.
    """
    wide, near = colors.astype(np.float32), targets.astype(np.float32)
    squares = (near**2).sum(axis=1)
    rows = [(squares - 2 * wide[at : at + CHUNK] @ near.T).argmin(axis=1) for at in range(0, len(wide), CHUNK)]
    return np.concatenate(rows)


def _that_fill_a_square(rows: np.ndarray, side: int) -> np.ndarray:
    """[H, W] -> those numbers in it, sorted, that fill a square of `side` pixels; of a narrower map, one as wide."""
    side = min(side, *rows.shape)
    plane = torch.from_numpy(rows).float()[None, None]
    high, low = F.max_pool2d(plane, side, stride=1), -F.max_pool2d(-plane, side, stride=1)
    return np.unique(high[high == low].numpy()).astype(np.int64)
