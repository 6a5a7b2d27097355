"""A sheet of pictures with a label above each: what the demo and the proofs show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

SCALE = 2  # times the pictures' size: 128 pixels are small on today's screens
MARGIN, LINE = 8, 15  # pixels


@dataclass(frozen=True)
class Tile:
    """One picture, [3, H, W] in 0..1, and what it is, in at most a few words a line."""

    picture: Tensor
    label: str


def write_sheet(path: Path, rows: Sequence[tuple[str, Sequence[Tile]]]) -> Path:
    """Write rows of pictures, each row under its own heading, as PNG.

    Raises `ImportError` that says what to install.
    """
    try:
        from PIL import Image, ImageDraw, ImageFont
    except ModuleNotFoundError as error:
        raise ImportError('the demo needs Pillow: pip install -e ".[demo]"') from error
    font, bold = ImageFont.load_default(13), ImageFont.load_default(17)
    side = max(tile.picture.shape[-1] for _, tiles in rows for tile in tiles) * SCALE
    tall = [max(tile.picture.shape[-2] for tile in tiles) * SCALE for _, tiles in rows]
    lines = [max(len(tile.label.splitlines()) for tile in tiles) for _, tiles in rows]
    columns = max(len(tiles) for _, tiles in rows)
    heads = [34 + LINE * count for count in lines]
    width = MARGIN + columns * (side + MARGIN)
    sheet = Image.new("RGB", (width, sum(tall) + sum(heads) + MARGIN * (len(rows) + 1)), "white")
    draw = ImageDraw.Draw(sheet)
    top = MARGIN
    for (heading, tiles), height, head in zip(rows, tall, heads, strict=True):
        draw.text((MARGIN, top + 4), heading, "black", bold)
        for column, tile in enumerate(tiles):
            left = MARGIN + column * (side + MARGIN)
            draw.multiline_text((left, top + 29), tile.label, "#444444", font, spacing=2)
            pixels = (tile.picture.clamp(0, 1).movedim(0, -1).numpy() * 255).round().astype(np.uint8)
            size = (tile.picture.shape[-1] * SCALE, tile.picture.shape[-2] * SCALE)
            sheet.paste(Image.fromarray(pixels).resize(size, Image.Resampling.NEAREST), (left, top + head))
        top += head + height + MARGIN
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path)
    return path
