"""A picture file of one's own as a condition image."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from .world import SIZE

if TYPE_CHECKING:
    from PIL import Image

OPAQUE = {"1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr", "HSV"}
TRANSPARENT = {"LA", "PA", "RGBA", "RGBa"}
"""Modes of Pillow with 8 bits a channel at most."""


def read_picture(path: Path) -> Tensor:
    """A picture file as [1, 3, 128, 128] in 0..1, cut to its middle square; what is transparent becomes white.

    16 bits are scaled to 8. Prints what is left out: frames after the first, and what lies outside of the square.

    Raises `ValueError` for a file that is not a picture or whose range of values is not known.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(path) as file:
            frames = getattr(file, "n_frames", 1)
            is_png = file.format == "PNG"
            upright = ImageOps.exif_transpose(file)
    except UnidentifiedImageError:
        raise ValueError(f"{path} is not a picture that Pillow can read; give a PNG or a JPEG") from None
    except (OSError, SyntaxError, EOFError, Image.DecompressionBombError) as error:  # SyntaxError: a damaged PNG
        raise ValueError(f"{path} cannot be read as a picture ({error}); give a PNG or a JPEG") from error
    if frames > 1:
        print(f"{path} has {frames} frames; only the first is used")
    if upright.width != upright.height:
        print(f"{path} has {upright.width}x{upright.height} pixels; only its middle square is used")
    picture = ImageOps.fit(_in_colour(path, upright, is_png), (SIZE, SIZE))
    return torch.from_numpy(np.asarray(picture, dtype=np.float32) / 255).movedim(-1, 0)[None].contiguous()


def _in_colour(path: Path, picture: Image.Image, is_png: bool) -> Image.Image:
    """Three channels of 8 bits; transparency over white, as the nodes do it. Raises as `read_picture` does."""
    from PIL import Image

    if picture.mode.startswith("I;16") or (picture.mode == "I" and is_png):  # what older versions of Pillow call it
        return _from_16_bits(picture)
    if picture.mode in TRANSPARENT or "transparency" in picture.info:
        colours = picture.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", colours.size, "white"), colours).convert("RGB")
    if picture.mode not in OPAQUE:
        raise ValueError(
            f"{path} has pixels of Pillow's mode {picture.mode}, of which it is not known what is black and what is "
            "white; save it as a PNG with 8 or 16 bits"
        )
    return picture.convert("RGB")


def _from_16_bits(picture: Image.Image) -> Image.Image:
    """Grey of 16 bits, with one transparent level where the file names one."""
    from PIL import Image

    levels = np.asarray(picture).astype(np.int64)
    grey = (levels * 255 / 65535).round().astype(np.uint8)
    transparent = picture.info.get("transparency")
    if isinstance(transparent, int):
        grey[levels == transparent] = 255
    return Image.fromarray(grey).convert("RGB")
