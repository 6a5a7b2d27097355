"""A picture file of one's own as a condition image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .world import SIZE


def read_picture(path: Path) -> Tensor:
    """A picture file as [1, 3, 128, 128] in 0..1, cut to its middle square.

    Raises `ValueError` for a file that is not a picture.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(path) as file:
            upright = ImageOps.exif_transpose(file).convert("RGB")
    except UnidentifiedImageError:
        raise ValueError(f"{path} is not a picture that Pillow can read; give a PNG or a JPEG") from None
    if upright.width != upright.height:
        print(f"{path} has {upright.width}x{upright.height} pixels; only its middle square is used")
    picture = ImageOps.fit(upright, (SIZE, SIZE))
    return torch.from_numpy(np.asarray(picture, dtype=np.float32) / 255).movedim(-1, 0)[None].contiguous()
