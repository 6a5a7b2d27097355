"""Refuse a picture or a mask that no annotator can read, with the cause."""

from __future__ import annotations

import math

from torch import Tensor

OVERSHOOT = 0.25
"""How far outside 0..1 a picture may lie. Bicubic enlargement overshoots a black and white edge by up to
1.1055^2 - 1 = 0.22 (a = -0.75), and such pictures are fine once rounded to 8 bits; those in -1..1 or 0..255 are not."""
HDR = 16
"""Values up to this are light brighter than white; 8-bit pictures that are so dark are nearly black."""


def check_picture(owner: str, image: Tensor) -> None:
    """Raises `ValueError` for anything but a non-empty float [B, 3, H, W] in 0..1, a filter's overshoot allowed."""
    if image.ndim != 4 or image.shape[1] != 3 or 0 in image.shape:
        hint = ""
        if image.ndim == 4 and image.shape[-1] in (3, 4):
            hint = "; the channels seem to come last: use image.movedim(-1, 1)"
        elif image.ndim == 4 and image.shape[1] == 4:
            hint = "; bring an image with alpha over a background first (annotators.pictures.pixels.over_white)"
        raise ValueError(
            f"{owner}: an image has the shape {tuple(image.shape)}; expected [B, 3, H, W], none of them 0{hint}"
        )
    if not image.is_floating_point():
        raise ValueError(
            f"{owner}: an image is of type {image.dtype}; expected floats in 0..1: use image.float() / 255"
        )
    floats = image.float()
    low, high = floats.amin().item(), floats.amax().item()  # five times as fast as aminmax on channels last
    # NaN compares false with everything, so that it lands here too
    if not (low >= -OVERSHOOT and high <= 1 + OVERSHOOT):
        remedy = "in 0..1"
        if not (math.isfinite(low) and math.isfinite(high)):
            remedy = "finite; the node before has made NaN or infinity"
        elif 1 + OVERSHOOT < high <= HDR:
            remedy = "in 0..1; an HDR picture (EXR) must be tone-mapped or clipped first"
        elif high > 1 + OVERSHOOT:
            remedy = "in 0..1; divide 8-bit values by 255"
        elif low < -OVERSHOOT:
            remedy = "in 0..1; an image in -1..1 becomes one by (image + 1) / 2"
        raise ValueError(f"{owner}: the values of an image lie in {low:g}..{high:g}; they must be {remedy}")


def check_mask(owner: str, mask: Tensor, image: Tensor) -> None:
    """Raises `ValueError` for a mask that does not have one plane in 0..1 for each image: [B, 1, H, W]."""
    expected = (image.shape[0], 1, *image.shape[2:])
    if mask.shape != expected:
        raise ValueError(
            f"{owner}: the mask has the shape {tuple(mask.shape)}; expected {expected}, one plane for each image"
        )
    low, high = mask.amin().item(), mask.amax().item()
    if not (0 <= low and high <= 1):  # false for NaN, too
        raise ValueError(f"{owner}: the values of the mask lie in {low:g}..{high:g}; expected 0..1")
