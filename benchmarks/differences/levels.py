"""Pictures as the peers have them, arrays of levels 0..255, [H, W, 3], and as the core has them: [1, 3, H, W], 0..1."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

Levels = np.ndarray[Any, Any]
Run = Callable[[Levels], Levels]


def tensor(picture: Levels) -> torch.Tensor:
    return torch.from_numpy(picture.copy()).movedim(-1, 0)[None].float() / 255


def levels(image: torch.Tensor) -> Levels:
    """The first picture of a batch, its fractions kept."""
    return np.asarray(image[0].movedim(0, -1).double().numpy() * 255)


def short_side(picture: Levels) -> int:
    return int(min(picture.shape[:2]))
