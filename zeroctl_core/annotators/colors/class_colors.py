"""Class numbers in the exact colours of a palette, and back."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..pictures.bands import bands
from ..pictures.pause import pause
from ..pictures.pixels import from_uint8
from .palette import palette_colors

NO_CLASS = -1
"""What black stands for: pixels of no class."""

CHUNK = 1 << 12
"""Colours compared at a time: their distances to 150 classes, 2.5 MB, stay in the processor's cache."""
QUICK = 1 << 20
"""Pixels that are sorted in less time than a table of all colours takes."""
BAND = 1 << 21
"""Pixels looked at between two pauses."""


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
    codes, where = _distinct(pixels)
    distinct = np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=1)
    rows = _nearest(distinct, targets)
    if smallest > 1 and not np.array_equal(targets[rows], distinct):
        wide = _that_fill_a_square(rows[where], smallest)
        is_narrow = ~np.isin(rows, wide)
        if len(wide) and is_narrow.any():
            rows[is_narrow] = wide[_nearest(distinct[is_narrow], targets[wide])]
    ids = rows[where]
    return np.where(ids == len(colors), NO_CLASS, ids)


def _distinct(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """[H, W, 3] uint8 -> its colours as red * 65536 + green * 256 + blue, sorted, and which of them each pixel has.

    Of a large picture by a table of all colours, which takes less than sorting its pixels and can be interrupted.
    """
    if pixels.size <= 3 * QUICK:
        packed = pixels.astype(np.int64) @ (1 << 16, 1 << 8, 1)
        codes, where = np.unique(packed, return_inverse=True)
        return codes, where.reshape(packed.shape)  # flat in some versions of NumPy
    where = np.empty(pixels.shape[:2], np.int32)
    table = np.zeros(1 << 24, np.int32)
    for rows in bands(len(where), BAND // where.shape[1]):
        pause()
        red, green, blue = np.moveaxis(pixels[rows].astype(np.int32), -1, 0)
        where[rows] = red << 16 | green << 8 | blue
        table[where[rows]] = 1
    codes = np.flatnonzero(table)
    table[codes] = np.arange(len(codes))
    for rows in bands(len(where), BAND // where.shape[1]):
        pause()
        where[rows] = table[where[rows]]
    return codes, where


def _nearest(colors: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """[N, 3], [T, 3] of 8-bit values -> [N] int64, the row of the nearest target, the first of equals.

    Without the square of the colour itself, which is the same for all targets. All numbers are whole and below 2^24,
    so that float32 is exact.
    """
    wide, near = colors.astype(np.float32), targets.astype(np.float32)
    squares = (near**2).sum(axis=1)
    rows = []
    for at in range(0, len(wide), CHUNK):
        pause()
        rows.append((squares - 2 * wide[at : at + CHUNK] @ near.T).argmin(axis=1))
    return np.concatenate(rows)


def _that_fill_a_square(rows: np.ndarray, side: int) -> np.ndarray:
    """[H, W] -> those numbers in it, sorted, that fill a square of `side` pixels; of a narrower map, one as wide."""
    side = min(side, *rows.shape)
    numbers: set[int] = set()
    for band in bands(len(rows) - side + 1, BAND // rows.shape[1]):
        pause()
        plane = torch.from_numpy(rows[band.start : band.stop + side - 1]).float()[None, None]
        high, low = F.max_pool2d(plane, side, stride=1), -F.max_pool2d(-plane, side, stride=1)
        numbers.update(np.unique(high[high == low].numpy()).astype(np.int64).tolist())
    return np.array(sorted(numbers), np.int64)
