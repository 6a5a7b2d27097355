"""What stands where a picture is transparent: paper, or nothing."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from .pixels import over_white

Transparent = Literal["white", "black", "drawing"]
"""`white`: paper. `black`: nothing, in a map whose black says so. `drawing`: white, but what is drawn in white is
black."""

FAINT = 0.75
"""Lines that are all lighter than this on white paper are chalk, and their paper is dark."""


def without_alpha(image: Tensor, transparent: Transparent = "white") -> Tensor:
    """[B, 4, H, W] in 0..1, straight alpha last -> [B, 3, H, W]; 3 channels are handed on.

    Source of white: `HWC3` of the released annotator/util.py, where transparent means white paper. There white lines on
    transparent vanish; in a `drawing` they are black on white, as dense as their alpha.
    """
    if image.shape[1] != 4:
        return image
    color, alpha = image[:, :3], image[:, 3:]
    if transparent == "black":
        return color * alpha
    paper = over_white(image)
    if transparent == "white":
        return paper
    per_picture = (-1, 1, 1, 1)
    is_chalk = (paper.flatten(1).amin(1) > FAINT) & (alpha.flatten(1).amin(1) < 0.5) & (alpha.flatten(1).amax(1) > 0.5)
    return torch.where(is_chalk.reshape(per_picture), 1 - alpha, paper)
