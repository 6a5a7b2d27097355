"""Shapes that the world does not contain: what a control is asked to follow beyond its training."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from .scene import SIZE

Points = Sequence[tuple[float, float]]

CANVAS = 128  # of the points

FISH: Points = (
    (20, 66), (27, 53), (38, 44), (52, 38), (66, 39), (77, 45), (86, 54), (95, 46), (107, 38), (104, 52), (101, 63),
    (105, 76), (109, 90), (97, 84), (87, 74), (78, 84), (66, 91), (51, 93), (37, 87), (26, 77),
)  # fmt: skip
"""An outline drawn by hand, pixels of the canvas."""


def polygon(points: Points) -> Tensor:
    """A filled polygon: corners in pixels of a 128x128 canvas -> mask [1, 1, 192, 192] in 0..1, its border smoothed."""
    from PIL import Image, ImageDraw

    finer = 4
    sheet, scale = Image.new("L", (SIZE * finer, SIZE * finer)), SIZE * finer / CANVAS
    ImageDraw.Draw(sheet).polygon([(x * scale, y * scale) for x, y in points], fill=255)
    small = np.asarray(sheet.resize((SIZE, SIZE), Image.Resampling.BOX), dtype=np.float32) / 255
    return torch.from_numpy(small)[None, None]


def heart() -> Tensor:
    """The curve x = 16 sin^3 a, y = 13 cos a - 5 cos 2a - 2 cos 3a - cos 4a as a mask [1, 1, 192, 192]."""
    points = []
    for n in range(200):
        a = 2 * math.pi * n / 200
        right = 16 * math.sin(a) ** 3
        up = 13 * math.cos(a) - 5 * math.cos(2 * a) - 2 * math.cos(3 * a) - math.cos(4 * a)
        points.append((CANVAS / 2 + 2.5 * right, CANVAS / 2 - 4 - 2.5 * up))
    return polygon(points)


def letter() -> Tensor:
    """A capital T with strokes of 22 pixels as a mask [1, 1, 192, 192]."""
    return polygon([(26, 26), (102, 26), (102, 48), (75, 48), (75, 104), (53, 104), (53, 48), (26, 48)])


def fish() -> Tensor:
    """The outline drawn by hand as a mask [1, 1, 192, 192]."""
    return polygon(FISH)


OUTSIDE = {"heart": heart, "letter T": letter, "drawn fish": fish}
