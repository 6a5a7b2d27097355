"""A sheet of pictures with a label above each: what the demo, the self-check and the proofs show."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from ...files.written_whole import check_writable, written_whole

SCALE = 2  # times the pictures' size: 128 pixels are small on today's screens
MARGIN, LINE = 8, 15  # pixels


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

    Raises `ImportError` that says what to install, `ValueError` for a name that does not end like a picture's.
    """
    format_ = _format_of(path)
    from PIL import Image, ImageDraw, ImageFont

    font, bold = ImageFont.load_default(13), ImageFont.load_default(17)
    side = max(tile.picture.shape[-1] for _, tiles in rows for tile in tiles) * scale
    heights = [max(tile.picture.shape[-2] for tile in tiles) * scale for _, tiles in rows]
    lines = [max(len(tile.label.splitlines()) for tile in tiles) for _, tiles in rows]
    columns = max(len(tiles) for _, tiles in rows)
    heads = [34 + LINE * count for count in lines]
    width = MARGIN + columns * (side + MARGIN)
    sheet = Image.new("RGB", (width, sum(heights) + sum(heads) + MARGIN * (len(rows) + 1)), "white")
    canvas = ImageDraw.Draw(sheet)
    top = MARGIN
    for (heading, tiles), height, head in zip(rows, heights, heads, strict=True):
        canvas.text((MARGIN, top + 4), heading, "black", bold)
        for column, tile in enumerate(tiles):
            left = MARGIN + column * (side + MARGIN)
            canvas.multiline_text((left, top + 29), tile.label, "#444444", font, spacing=2)
            size = (tile.picture.shape[-1] * scale, tile.picture.shape[-2] * scale)
            sheet.paste(
                Image.fromarray(_pixels(tile.picture)).resize(size, Image.Resampling.NEAREST), (left, top + head)
            )
        top += head + height + MARGIN
    with written_whole(path) as part:
        sheet.save(part, format_)
    return path


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
