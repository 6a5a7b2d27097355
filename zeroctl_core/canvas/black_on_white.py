"""Whether a picture is a drawing of thin dark lines on white paper, for who expects white lines on black."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

__all__ = ["is_black_on_white"]

EVERY = 16
"""One of so many rows and columns is looked at first, which tells most pictures."""
GREY, PAPER, WHITE, INK = 0.06, 0.9, 0.98, 0.3
"""Channels this near are grey; paper and white are lighter than these, and ink is darker."""
MOST_COLOURED, LEAST_PAPER, MOST_SHADES, LEAST_INK, LEAST_OPEN = 0.01, 0.7, 0.25, 0.001, 0.99
"""Shares of the pixels, and of the places of a pen's width that have white in them."""
PENS = 16
"""A line is thinner than the picture's short side by this: what is wider is an object."""


def is_black_on_white(image: Tensor) -> bool:
    """[C, H, W] in 0..1 -> whether it is grey, mostly paper, some ink, few shades, with white beside every stroke.

    Rather no than a photograph: a drawing with filled shapes is none here, and neither are pencils without black.
    """
    light = image.float().mean(dim=0)
    side = min(light.shape) // PENS
    if side < 2 or float((light[::EVERY, ::EVERY] >= PAPER).float().mean()) < LEAST_PAPER / 2:
        return False
    coloured = float((image.amax(dim=0) - image.amin(dim=0) > GREY).float().mean())
    paper, ink = float((light >= PAPER).float().mean()), float((light < INK).float().mean())
    if coloured > MOST_COLOURED or paper < LEAST_PAPER or ink < LEAST_INK or 1 - paper - ink > MOST_SHADES:
        return False
    brightest = F.max_pool2d(light[None, None], side, stride=side // 2)
    return float((brightest >= WHITE).float().mean()) >= LEAST_OPEN
