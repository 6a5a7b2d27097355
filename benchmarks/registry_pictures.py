"""`python -m benchmarks.registry_pictures`: icon and banner of the pack in ComfyUI's registry.

A cat's head, as an outline and as what is made of it: a condition image, and a picture that follows it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from benchmarks.machine import ROOT
from benchmarks.options import read_options

ICON, BANNER = (400, 400), (1260, 540)
"""Pixels: the registry takes a square of 400 at most, and 21:9."""
FINER = 4  # drawn so many times larger, then averaged
BLACK, WHITE, BLUE = (14, 16, 22), (244, 246, 250), (100, 168, 224)
COLOURS = (((122, 44, 160), (204, 186, 34)), ((218, 74, 60), (64, 128, 122)), ((238, 152, 44), (56, 74, 140)))
"""Of the cat and of the ground behind it, in each of the results."""
NAME, LINES = "zeroctl", ("ControlNet for ComfyUI:", "annotate, load, weight,", "apply, train")

Point = tuple[float, float]


def head(centre: Point, radius: float) -> list[Point]:
    """The outline of a cat's head: a flat ellipse with two ears, in pixels."""
    x, y = centre
    points = []
    for step in range(181):
        angle = math.radians(-35 + 250 * step / 180)  # from the right ear down and round to the left one
        points.append((x + 0.86 * radius * math.cos(angle), y + 0.78 * radius * math.sin(angle)))
    left = [(-0.72, -0.98), (-0.3, -0.66), (0.3, -0.66), (0.72, -0.98)]
    return [*points, *((x + dx * radius, y + dy * radius) for dx, dy in left)]


def condition(draw: ImageDraw.ImageDraw, centre: Point, radius: float) -> None:
    points = head(centre, radius)
    draw.line([*points, *points[:2]], fill=WHITE, width=round(radius / 13), joint="curve")


def icon() -> Image.Image:
    """Half condition, half result, on either side of a diagonal."""
    side = ICON[0] * FINER
    centre, radius = (side / 2, side * 0.54), side * 0.36
    lines = Image.new("RGB", (side, side), BLACK)
    condition(ImageDraw.Draw(lines), centre, radius)
    cat, ground = COLOURS[0]
    result = Image.new("RGB", (side, side), ground)
    ImageDraw.Draw(result).polygon(head(centre, radius * 1.03), fill=cat)
    half = Image.new("L", (side, side))
    ImageDraw.Draw(half).polygon([(side * 0.62, 0), (side, 0), (side, side), (side * 0.38, side)], fill=255)
    return Image.composite(result, lines, half).resize(ICON, Image.Resampling.BOX)


def banner() -> Image.Image:
    """The name, a condition, and three results at the end of its wires."""
    width, height = BANNER[0] * FINER, BANNER[1] * FINER
    sheet = Image.new("RGB", (width, height), (30, 33, 42))
    draw = ImageDraw.Draw(sheet)
    unit = height / 540
    for number, line in enumerate((NAME, *LINES)):
        size = (92 if number == 0 else 34) * unit
        place = (64 * unit, (150 if number == 0 else 240 + 46 * number) * unit)
        draw.text(place, line, fill=WHITE if number == 0 else (184, 192, 206), font=ImageFont.load_default(size))
    source = (650 * unit, 270 * unit)
    for number, (cat, ground) in enumerate(COLOURS):
        y = (100 + 170 * number) * unit
        wire(draw, (source[0] + 100 * unit, source[1]), (1034 * unit, y), 7 * unit)
        tile(draw, (1110 * unit, y), 76 * unit, ground)
        draw.polygon(head((1110 * unit, y + 4 * unit), 52 * unit), fill=cat)
    tile(draw, source, 116 * unit, BLACK)
    condition(draw, (source[0], source[1] + 8 * unit), 80 * unit)
    return sheet.resize(BANNER, Image.Resampling.BOX)


def tile(draw: ImageDraw.ImageDraw, centre: Point, half: float, colour: tuple[int, int, int]) -> None:
    x, y = centre
    draw.rounded_rectangle((x - half, y - half, x + half, y + half), half / 7, fill=colour)


def wire(draw: ImageDraw.ImageDraw, start: Point, end: Point, width: float) -> None:
    """A cubic from left to right, as ComfyUI draws its links."""
    (x0, y0), (x1, y1) = start, end
    bend = (x1 - x0) / 2
    points = []
    for step in range(121):
        s = step / 120
        weights = ((1 - s) ** 3, 3 * s * (1 - s) ** 2, 3 * s * s * (1 - s), s**3)
        xs, ys = (x0, x0 + bend, x1 - bend, x1), (y0, y0, y1, y1)
        points.append(tuple(sum(w * value for w, value in zip(weights, values, strict=True)) for values in (xs, ys)))
    draw.line(points, fill=BLUE, width=round(width), joint="curve")


@dataclass(frozen=True)
class Options:
    """out: the folder for icon.png and banner.png."""

    out: Path = ROOT / "docs"


def main() -> None:
    out = read_options(Options, "registry_pictures", __doc__).out
    out.mkdir(parents=True, exist_ok=True)
    for name, picture in (("icon", icon()), ("banner", banner())):
        # few colours: small, and edges stay smooth
        picture.quantize(64, dither=Image.Dither.NONE).save(out / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
