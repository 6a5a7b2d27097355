"""At which size a net sees a picture, and the picture at that size."""

from __future__ import annotations

from torch import Tensor

from .antialiased import antialiased

LONGEST = 4
"""Times the short side that the long side may have; a thin strip is made smaller, or one of 3 x 517 would be 89,000
pixels wide."""


def seen_size(height: int, width: int, short: int, multiple: int) -> tuple[int, int]:
    """(height, width) with the short side at `short` and the proportions kept, each to the nearest multiple.

    Sides are at least one multiple, and at most `LONGEST` times `short`.
    """
    scale = min(short / min(height, width), LONGEST * short / max(height, width))
    return _nearest(height * scale, multiple), _nearest(width * scale, multiple)


def at_seen_size(image: Tensor, size: tuple[int, int]) -> Tensor:
    """[B, 3, H, W] in 0..1 -> [B, 3, h, w] float32 in 0..1: bicubic, with a wider filter where it shrinks."""
    inside = image.float().clamp(0, 1)
    if inside.shape[2:] == size:
        return inside
    return antialiased(inside, size, "bicubic").clamp(0, 1)


def _nearest(length: float, multiple: int) -> int:
    return max(round(length / multiple), 1) * multiple
