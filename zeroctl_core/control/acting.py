"""Who acts: a unit's factor is strength x weight x schedule x branch x mask, and where it is 0 no network runs."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from ..canvas.cells import PIXELS_PER_CELL
from .image_strengths import ImageStrengths
from .rows import Branches, Crop, Rows


class Support:
    """Where a mask [n, 1, H, W] is not 0. Its values are read once, here; no call waits for a device.

    `canvas` is the (height, width) in pixels that crops refer to. The mask may have another size.
    """

    def __init__(self, mask: Tensor, canvas: tuple[int, int]) -> None:
        self._inside = (mask[:, 0] != 0).cpu().numpy()
        self._per_pixel = mask.shape[-2] / canvas[0], mask.shape[-1] / canvas[1]
        self._known: dict[tuple[int, Crop | None], bool] = {}

    def meets(self, sample: int, crop: Crop | None) -> bool:
        """Whether the mask of this sample is not 0 everywhere on this part of the canvas (None: on all of it)."""
        place = (sample % len(self._inside), crop)
        if place not in self._known:
            inside = self._inside[place[0]]
            if crop is not None:
                down, right = (PIXELS_PER_CELL * share for share in self._per_pixel)
                inside = inside[_touched(crop.y, crop.h, down), _touched(crop.x, crop.w, right)]
            self._known[place] = bool(inside.any())
        return self._known[place]


def _touched(start: int, length: int, scale: float) -> slice:
    """The pixels of the mask that these cells share something with: an edge may fall inside of one."""
    return slice(math.floor(start * scale), math.ceil((start + length) * scale))


def rows_acted_on(
    weights: Sequence[float],
    branches: Branches,
    support: Support | None,
    rows: Rows,
    strengths: ImageStrengths | None = None,
) -> tuple[int, ...]:
    """The rows on which a unit's factor is not 0: some weight, its branch, its image's strength, something of its mask.

    `support=None`: no mask.
    """
    if not any(weights):
        return ()
    visible = rows.seen_by(branches)
    if strengths is not None:
        visible = tuple(row for row in visible if strengths(rows.images[row]))
    if support is None:
        return visible
    return tuple(row for row in visible if support.meets(rows.images[row], rows.crops[row]))
