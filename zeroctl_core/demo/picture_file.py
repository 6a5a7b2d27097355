"""A picture file of one's own as a condition image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..files.picture_file import read_picture_file
from .scene import SIZE


def read_picture(path: Path) -> Tensor:
    """A picture file as [1, 3, 192, 192] in 0..1, cut to its middle square; what is transparent becomes white.

    Prints what is left out: frames after the first, and what lies outside of the square.

    Raises `ValueError` for a file that is not a picture or whose range of values is not known.
    """
    from PIL import ImageOps

    upright, frames = read_picture_file(path)
    if frames > 1:
        print(f"{path} has {frames} frames; only the first is used")
    if upright.width != upright.height:
        print(f"{path} has {upright.width}x{upright.height} pixels; only its middle square is used")
    picture = ImageOps.fit(upright, (SIZE, SIZE))
    return torch.from_numpy(np.asarray(picture, dtype=np.float32) / 255).movedim(-1, 0)[None].contiguous()
