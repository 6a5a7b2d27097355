"""One picture of a data set: each sample as it is trained on, beside its condition, with what is wrong with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from ...files.written_whole import written_whole
from .fault import UNUSABLE, Fault
from .pairs import Found, Half
from .preparing import Drawing
from .sample import Picture, Sample

if TYPE_CHECKING:
    from PIL import Image, ImageFont

    Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

MOST = 400
"""Tiles of a sheet: a person looks through no more, and viewers open it."""
COLUMNS, SIDE, MARGIN = 6, 128, 10  # of the sheet; pixels of a picture's longer side; pixels
LINE, LINES = 14, 4  # pixels; number and name, and what is wrong
USABLE, REFUSED, DOUBTED = "#444444", "#c00000", "#b06000"


@dataclass(frozen=True, kw_only=True)
class Tile:
    """A sample of the sheet. `picture` and `condition` are None where there is none."""

    number: int  # by the order of the names, from 1
    name: str
    picture: Picture | None
    condition: Picture | None
    kinds: tuple[str, ...] = ()

    @property
    def colour(self) -> str:
        if not self.kinds:
            return USABLE
        return REFUSED if any(kind in UNUSABLE for kind in self.kinds) else DOUBTED


def tiles_of(folder: Found, faults: Sequence[Fault], most: int = MOST) -> tuple[list[Tile], int]:
    """The tiles of a sheet in the order of their names, and how many samples there are.

    Where there are more than `most`, what cannot be used comes first, then what is doubted, then all others; of a group
    for which there is no room, samples at equal distances.
    """
    kinds: dict[str, list[str]] = {}
    for fault in sorted(faults, key=lambda fault: not fault.is_unusable):
        kinds.setdefault(fault.name, []).append(fault.kind)
    rows: list[Sample | Half] = [*folder.samples, *folder.halves]
    rows.sort(key=lambda one: one.name)
    tiles = [
        Tile(
            number=number,
            name=one.name,
            picture=one.picture,
            condition=one.condition,
            kinds=tuple(kinds.get(one.name, ())),
        )
        for number, one in enumerate(rows, start=1)
    ]
    choice: list[Tile] = []
    for colour in (REFUSED, DOUBTED, USABLE):
        choice += _spread([tile for tile in tiles if tile.colour == colour], most - len(choice))
    return sorted(choice, key=lambda tile: tile.number), len(tiles)


def _spread(tiles: Sequence[Tile], most: int) -> Sequence[Tile]:
    """All of them, or so many at equal distances."""
    return tiles if len(tiles) <= most else [tiles[index * len(tiles) // most] for index in range(most)]


def write_contact_sheet(path: Path, tiles: Sequence[Tile], drawing: Drawing) -> None:
    """Draw the tiles, numbered and named, with what is wrong, into a PNG.

    Pictures and conditions are cut and drawn as they are trained on; what cannot be read is a crossed box.

    Raises `OSError` where the file cannot be written.
    """
    from PIL import Image, ImageDraw, ImageFont

    height, width = (max(1, round(side * SIDE / max(drawing.size))) for side in drawing.size)
    font = ImageFont.load_default(11)
    step = (2 * width + 2 * MARGIN, height + LINES * LINE + MARGIN)
    rows = -(-len(tiles) // COLUMNS)
    sheet = Image.new("RGB", (MARGIN + COLUMNS * step[0], MARGIN + rows * step[1]), "white")
    canvas = ImageDraw.Draw(sheet)
    for place, tile in enumerate(tiles):
        left, top = MARGIN + place % COLUMNS * step[0], MARGIN + place // COLUMNS * step[1]
        for side, pixels in enumerate(_pair(tile, drawing)):
            sheet.paste(_thumbnail(pixels, width, height), (left + side * (width + 2), top))
        canvas.rectangle((left - 2, top - 2, left + 2 * width + 3, top + height + 1), outline=tile.colour, width=2)
        for line, text in enumerate(_label(tile, font, 2 * width)):
            canvas.text((left, top + height + 3 + line * LINE), text, tile.colour, font)
    with written_whole(path) as part:
        sheet.save(part, "PNG")


def _pair(tile: Tile, drawing: Drawing) -> tuple[Tensor | None, Tensor | None]:
    """[3, height, width] in 0..1 of the picture and of the condition, None for what is not there or not readable."""
    picture = condition = None
    try:
        picture = None if tile.picture is None else drawing.fitted(tile.picture.read())[0]
    except (ValueError, OSError):
        pass
    try:
        if tile.condition is not None:
            condition = drawing.placed(tile.condition.read())[0]
        elif drawing.annotator and picture is not None:
            condition = drawing.drawn(picture[None])[0]
    except (ValueError, OSError):
        pass
    return picture, condition


def _thumbnail(pixels: Tensor | None, width: int, height: int) -> Image.Image:
    from PIL import Image, ImageDraw

    if pixels is None:
        box = Image.new("RGB", (width, height), "#eeeeee")
        lines = ImageDraw.Draw(box)
        lines.line((0, 0, width, height), REFUSED, 2)
        lines.line((0, height, width, 0), REFUSED, 2)
        return box
    values = (pixels.movedim(0, -1).numpy() * 255).round().astype(np.uint8)
    return Image.fromarray(values).resize((width, height), Image.Resampling.LANCZOS)


def _label(tile: Tile, font: Font, width: int) -> list[str]:
    """Number and name on one line, then what is wrong, at most `LINES` lines in all."""
    number = f"{tile.number}  "
    name = "".join(character if character.isprintable() else "?" for character in tile.name)
    room, cut = width - font.getlength(number), name
    while len(cut) > 1 and font.getlength(cut) > room:  # names in deep folders differ at their ends
        cut = "…" + cut.removeprefix("…")[1:]
    lines = [number + cut, *_wrapped("; ".join(tile.kinds), font, width)]
    return lines if len(lines) <= LINES else [*lines[: LINES - 1], lines[LINES - 1] + " …"]


def _wrapped(text: str, font: Font, width: int) -> list[str]:
    """Lines of whole words, none wider than `width` pixels unless a word is."""
    lines: list[str] = []
    for word in text.split():
        if lines and font.getlength(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines
