"""What a condition image holds, told by its colours: a hole, classes, a drawing, or none of these."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Content = Literal["hole", "classes", "drawing", "smooth"]

FEWEST_COLOURS, MOST_COLOURS = 3, 199
"""A picture with so many colours is a map of classes: a colour between two classes would be a third class."""
NEIGHBOURS = 4
"""Grey levels that lie closer than this, as 64 or more in 0..255 do, have no classes between them: a depth or a
photograph in few levels."""
HOLE = -1.0
"""The value of a pixel to be painted anew in an inpaint condition."""
BLACK, WHITE = 16 / 255, 240 / 255
"""Two colours that reach below and above these make a drawing."""
STRIP = 1 << 18
"""Pixels whose colours are counted at a time: they stay in the processor's cache, and a photograph's first are
enough."""


def content_of(picture: Tensor) -> Content:
    """[C, H, W] -> `hole` where pixels are to be painted anew, `classes` for 3 to 199 colours, `drawing` for black and
    white, else `smooth`; grey levels that are neighbours are `smooth`, however few.

    Source: the rule of A1111's ControlNet extension (Mikubill/sd-webui-controlnet, scripts/controlnet.py), which takes
    a grey depth of 199 levels for a map of classes.
    """
    if has_hole(picture):
        return "hole"
    palette = colours(picture)
    if palette is None or len(palette) < FEWEST_COLOURS - 1:
        return "smooth"
    if len(palette) < FEWEST_COLOURS:
        return "drawing" if picture.amin() < BLACK and picture.amax() > WHITE else "smooth"
    is_grey = bool((palette == palette[:, :1]).all())
    return "smooth" if is_grey and float(palette[:, 0].sort().values.diff().median()) <= NEIGHBOURS else "classes"


def has_hole(picture: Tensor) -> bool:
    """[C, H, W] -> whether some pixel is to be painted anew: nearer to `HOLE` than to black in every channel.

    Not `== HOLE`, which another resize before this one may have bent, and not any value below 0, to which filters
    overshoot beside an edge.
    """
    return bool(picture.amin() < HOLE / 2) and bool((picture < HOLE / 2).all(dim=0).any())


def colours(picture: Tensor) -> Tensor | None:
    """[C, H, W] in 0..1, up to 7 channels -> its 8-bit colours, [n, C]; None where there are more than 199."""
    channels, height, width = picture.shape
    codes = torch.empty(0, dtype=torch.int64, device=picture.device)
    rows = max(1, STRIP // width)
    for top in range(0, height, rows):
        strip = picture[:, top : top + rows].float().mul(255).round_().clamp_(0, 255)
        packed = strip[0].long()
        for plane in strip[1:]:
            packed = packed * 256 + plane.long()
        # runs first: sorting is what takes the time
        codes = torch.unique(torch.cat([codes, torch.unique_consecutive(packed)]))
        if len(codes) > MOST_COLOURS:
            return None
    return torch.stack([codes >> 8 * channel & 255 for channel in reversed(range(channels))], dim=1)
