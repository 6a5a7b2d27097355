"""Twelve outlines that no training saw, closed polygons on a canvas of 128x128, and ways in which people draw."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from PIL import Image, ImageDraw

Points = Sequence[tuple[float, float]]

CANVAS = 128  # of the points
SIDE = 512  # of the pictures, pixels


def _around(radius: Callable[[float], float], x: float = 64, y: float = 64, count: int = 160) -> Points:
    """A closed curve by its distance from (x, y) in every direction, an angle from 0 to 2 pi, clockwise from right."""
    angles = [2 * math.pi * n / count for n in range(count)]
    return [(x + radius(a) * math.cos(a), y + radius(a) * math.sin(a)) for a in angles]


def _mirrored(right: Points, middle: float = 64) -> Points:
    """The right half of an outline, from top to bottom, and its mirror image."""
    return [*right, *((2 * middle - x, y) for x, y in reversed(right))]


def _arc(x: float, y: float, radius: float, start: float, end: float, count: int = 16) -> Points:
    """Points on a circle from one angle to another, degrees, clockwise from right."""
    angles = [math.radians(start + (end - start) * n / (count - 1)) for n in range(count)]
    return [(x + radius * math.cos(a), y + radius * math.sin(a)) for a in angles]


OUTLINES: dict[str, Points] = {
    "house": [
        (28, 62), (64, 28), (78, 41), (78, 30), (88, 30), (88, 51),
        (100, 62), (92, 62), (92, 100), (36, 100), (36, 62),
    ],
    "fir": _mirrored([(64, 22), (80, 46), (73, 46), (88, 68), (79, 68), (97, 92), (70, 92), (70, 106)]),
    "cat": _mirrored([(64, 46), (76, 47), (92, 28), (97, 62), (92, 82), (80, 95), (64, 99)]),
    "mushroom": [*_arc(64, 62, 36, 180, 360), (76, 66), (80, 100), (48, 100), (52, 66)],
    "cloud": [*_arc(44, 70, 18, 90, 250), *_arc(64, 54, 20, 200, 330), *_arc(86, 68, 20, 290, 450)],
    "bottle": _mirrored([(64, 22), (71, 22), (71, 44), (84, 58), (84, 104), (64, 104)]),
    "arrow": [(24, 52), (66, 52), (66, 32), (106, 64), (66, 96), (66, 76), (24, 76)],
    "lightning": [(72, 22), (38, 70), (60, 70), (50, 108), (92, 54), (68, 54), (84, 22)],
    "cup": [(34, 38), (80, 38), (80, 48), *_arc(84, 62, 16, -75, 75), (80, 78), (74, 94), (40, 94)],
    "crown": [(28, 94), (24, 42), (46, 64), (64, 34), (82, 64), (104, 42), (100, 94)],
    "flower": _around(lambda a: 30 + 9 * math.cos(5 * a)),
    "boat": [
        (22, 80), (60, 80), (60, 74), (36, 74), (62, 24), (66, 24),
        (92, 74), (66, 74), (66, 80), (106, 80), (92, 102), (36, 102),
    ],
}  # fmt: skip
"""Name -> corners in pixels of the canvas, right and down."""


def _sheet(ground: str | tuple[int, ...], mode: str = "RGB") -> tuple[Image.Image, ImageDraw.ImageDraw]:
    sheet = Image.new(mode, (SIDE * 2, SIDE * 2), ground)
    return sheet, ImageDraw.Draw(sheet)


def _drawn(
    points: Points,
    *,
    ground: str | tuple[int, ...] = "black",
    line: str | tuple[int, ...] = "white",
    width: float = 1.5,
    fill: str | None = None,
    mode: str = "RGB",
) -> Image.Image:
    """An outline as a picture of `SIDE` pixels; the width of its line in pixels of the canvas."""
    sheet, pen = _sheet(ground, mode)
    scale = SIDE * 2 / CANVAS
    corners = [(x * scale, y * scale) for x, y in points]
    if fill is not None:
        pen.polygon(corners, fill=fill)
    if width:
        pen.line([*corners, corners[0], corners[1]], fill=line, width=round(width * scale), joint="curve")
    return sheet.resize((SIDE, SIDE), Image.Resampling.BOX)


WAYS: dict[str, Callable[[Points], Image.Image]] = {
    "white on black": _drawn,
    "black on white": lambda points: _drawn(points, ground="white", line="black"),
    "thick": lambda points: _drawn(points, width=6),
    "filled": lambda points: _drawn(points, width=0, fill="white"),
    "coloured": lambda points: _drawn(points, ground="#fff2b0", line="#203080", width=2, fill="#e04030"),
    "transparent": lambda points: _drawn(points, ground=(0, 0, 0, 0), line=(0, 0, 0, 255), width=2, mode="RGBA"),
}
"""How an outline is drawn -> picture of `SIDE` pixels."""


def truth(points: Points) -> Image.Image:
    """What an outline encloses, white on black, at the size of the canvas."""
    return _drawn(points, width=0, fill="white").convert("L").resize((CANVAS, CANVAS), Image.Resampling.BOX)
