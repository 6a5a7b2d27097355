"""A sheet of pictures with a label above each: what the demo, the self-check and the proofs show."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from ...files.written_whole import check_writable, written_whole

SCALE = 2  # times the pictures' size: 128 pixels are small on today's screens
MARGIN = 8  # pixels
PAGE = 850  # pixels: as wide as a README shows a picture
LABEL, HEADING = 11, 14  # pixels high at least, on a page; and at least these without one:
LEAST_LABEL, LEAST_HEADING = 13, 17


@dataclass(frozen=True)
class Tile:
    """One picture, [3, H, W] in 0..1, and what it is, in at most a few words a line."""

    picture: Tensor
    label: str


def check_sheet(path: Path) -> None:
    """Find out whether a sheet can be written before its pictures are computed.

    Raises `ValueError` for a name that does not end like a picture's and for a place that cannot be written,
    `ImportError` that says what to install.
    """
    _format_of(path)
    check_writable(path)


def write_sheet(path: Path, rows: Sequence[tuple[str, Sequence[Tile]]], scale: int = SCALE) -> Path:
    """Write rows of pictures, each row under its own heading, in the format that the file's name ends in.

    Letters are as high as they must be to be read where the sheet is shown as wide as a page.

    Raises `ImportError` that says what to install, `ValueError` for a name that does not end like a picture's.
    """
    format_ = _format_of(path)
    from PIL import Image, ImageDraw, ImageFont

    side = max(tile.picture.shape[-1] for _, tiles in rows for tile in tiles) * scale
    width = MARGIN + max(len(tiles) for _, tiles in rows) * (side + MARGIN)
    font, bold = (
        ImageFont.load_default(max(least, math.ceil(on_page * width / PAGE)))
        for on_page, least in ((LABEL, LEAST_LABEL), (HEADING, LEAST_HEADING))
    )
    line, head_line = (math.ceil(1.2 * (some.getbbox("Ag")[3])) for some in (font, bold))
    heads = [_wrapped(heading, bold.getlength, width - 2 * MARGIN) for heading, _ in rows]
    labels = [[_wrapped(tile.label, font.getlength, side) for tile in tiles] for _, tiles in rows]
    heights = [max(tile.picture.shape[-2] for tile in tiles) * scale for _, tiles in rows]
    tops = [
        len(head) * head_line + max(len(lines) for lines in row) * line + MARGIN
        for head, row in zip(heads, labels, strict=True)
    ]
    sheet = Image.new("RGB", (width, sum(heights) + sum(tops) + MARGIN * (len(rows) + 1)), "white")
    canvas = ImageDraw.Draw(sheet)
    top = MARGIN
    for (_, tiles), head, row, above, height in zip(rows, heads, labels, tops, heights, strict=True):
        for n, text in enumerate(head):
            canvas.text((MARGIN, top + n * head_line), text, "black", bold)
        for column, (tile, lines) in enumerate(zip(tiles, row, strict=True)):
            left = MARGIN + column * (side + MARGIN)
            for n, text in enumerate(lines):
                canvas.text((left, top + len(head) * head_line + n * line), text, "#444444", font)
            size = (tile.picture.shape[-1] * scale, tile.picture.shape[-2] * scale)
            sheet.paste(
                Image.fromarray(_pixels(tile.picture)).resize(size, Image.Resampling.NEAREST), (left, top + above)
            )
        top += above + height + MARGIN
    with written_whole(path) as part:
        sheet.save(part, format_)
    return path


def _wrapped(text: str, length_of: Callable[[str], float], room: float) -> list[str]:
    """Lines that are as long as there is room, broken between words; a word that is longer stays whole."""
    lines: list[str] = []
    for line in text.splitlines():
        current = ""
        for word in line.split(" "):
            longer = f"{current} {word}" if current else word
            if current and length_of(longer) > room:
                lines.append(current)
                current = word
            else:
                current = longer
        lines.append(current)
    return lines


def write_picture(path: Path, picture: Tensor) -> None:
    """Write one picture, [3, H, W] in 0..1, as a PNG of its size."""
    from PIL import Image

    with written_whole(path) as part:
        Image.fromarray(_pixels(picture)).save(part, "PNG")


def _pixels(picture: Tensor) -> np.ndarray:
    """[3, H, W] in 0..1 -> [H, W, 3] uint8, rounded and clamped."""
    pixels: np.ndarray = (picture.clamp(0, 1).movedim(0, -1).numpy() * 255).round().astype(np.uint8)
    return pixels


def _format_of(path: Path) -> str:
    """The picture format that a name ends in, one that can hold colours."""
    try:
        from PIL import Image
    except ModuleNotFoundError as error:
        raise ImportError('pictures need Pillow: pip install -e ".[demo]"') from error
    format_ = Image.registered_extensions().get(path.suffix.lower())
    try:
        Image.new("RGB", (8, 8)).save(io.BytesIO(), format_ or "")
    except (KeyError, OSError, ValueError) as error:
        raise ValueError(f"{path} does not end like a picture that can be written; end it in .png") from error
    assert format_ is not None
    return format_
