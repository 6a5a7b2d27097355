"""A picture file as its pixels, whatever it holds: EXIF, transparency, palettes, 16 bits."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .impostors import FIRST, impostor

if TYPE_CHECKING:
    from PIL import Image

OPAQUE = {"1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr", "HSV"}
TRANSPARENT = {"LA", "PA", "RGBA", "RGBa"}
"""Modes of Pillow with 8 bits a channel at most."""


def read_picture_file(path: Path, background: str = "white") -> tuple[Image.Image, int]:
    """A picture as people see it, and how many frames its file has: the first frame, upright, in RGB of 8 bits.

    What is transparent lies on `background`, a colour by name or as "#rrggbb"; 16 bits are scaled to 8.

    Raises `ValueError` for a file that is not a picture or whose range of values is not known.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(path) as file:
            frames = getattr(file, "n_frames", 1)
            is_png = file.format == "PNG"
            upright = ImageOps.exif_transpose(file)
    except UnidentifiedImageError:
        raise ValueError(f"{path} {_no_picture(path)}") from None
    except (OSError, SyntaxError, EOFError, Image.DecompressionBombError) as error:  # SyntaxError: a damaged PNG
        raise ValueError(f"{path} cannot be read as a picture ({error}); give a PNG or a JPEG") from error
    return _in_colour(path, upright, is_png, background), frames


def _no_picture(path: Path) -> str:
    """What a file is that Pillow does not know, and what to do."""
    with path.open("rb") as file:
        start = file.read(FIRST)
    text = start.lstrip().lower()
    if not start:
        return "is empty (0 bytes); download it again, or save it again"
    if b"<svg" in text or (text.startswith(b"<?xml") and path.suffix.lower() == ".svg"):
        return "is an SVG, a drawing of curves; export it as a PNG"
    if (other := impostor(start)) is not None:
        return f"is {other}, not a picture; download the file itself"
    if start.startswith(b"PK"):
        return "is a zip archive; unpack it and give a picture that is in it"
    if not any(start):
        return "begins with zeros: its download is not complete. Download it again"
    return "is not a picture that Pillow can read; give a PNG or a JPEG"


def _in_colour(path: Path, picture: Image.Image, is_png: bool, background: str) -> Image.Image:
    """Three channels of 8 bits, transparency over the background. Raises as `read_picture_file` does."""
    from PIL import Image

    if picture.mode.startswith("I;16") or (picture.mode == "I" and is_png):  # what older versions of Pillow call it
        return _from_16_bits(picture, background)
    if picture.mode in TRANSPARENT or "transparency" in picture.info:
        colours = picture.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", colours.size, background), colours).convert("RGB")
    if picture.mode not in OPAQUE:
        raise ValueError(
            f"{path} has pixels of Pillow's mode {picture.mode}, of which it is not known what is black and what is "
            "white; save it as a PNG with 8 or 16 bits"
        )
    return picture.convert("RGB")


def _from_16_bits(picture: Image.Image, background: str) -> Image.Image:
    """Grey of 16 bits, with one transparent level where the file names one."""
    from PIL import Image, ImageColor

    levels = np.asarray(picture).astype(np.int64)
    colours = np.repeat((levels * 255 / 65535).round().astype(np.uint8)[..., None], 3, axis=2)
    transparent = picture.info.get("transparency")
    if isinstance(transparent, int):
        colours[levels == transparent] = ImageColor.getrgb(background)[:3]
    return Image.fromarray(colours)
