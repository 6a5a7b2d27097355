"""What one sampling run knows and keeps: its noise levels, the encoded conditions and the masks at each size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..canvas.by_area import resize_by_area
from ..latent import PIXELS_PER_CELL
from .rows import Crop, Rows
from .schedule import Schedule
from .unit import Net

Key = tuple[object, ...]
Kept = tuple[Tensor, object]
"""A result with the objects that its key names by id: while they are kept, nothing else can get their id."""


@dataclass(eq=False)
class Run:
    """Made when a sampling run starts, handed to every call of it, dropped when it ends.

    `percent_to_sigma` is the model's, `sigmas` are the run's N + 1 noise levels: what `Schedule.bind` needs. The rest
    fills itself: bound schedules, one feature for each network, image, crop, device and dtype, masks by size.
    """

    percent_to_sigma: Callable[[float], float]
    sigmas: Sequence[float] | Tensor
    features: dict[Key, Kept] = field(default_factory=dict)
    masks: dict[Key, Kept] = field(default_factory=dict)
    _strengths: dict[Schedule, Callable[[float], float]] = field(default_factory=dict)

    def strength(self, schedule: Schedule, sigma: float) -> float:
        """What the schedule says at this noise level of this run."""
        if schedule not in self._strengths:
            self._strengths[schedule] = schedule.bind(self.percent_to_sigma, self.sigmas)
        return self._strengths[schedule](sigma)


def feature_of_rows(net: Net, image: Tensor, rows: Rows, x: Tensor, kept: dict[Key, Kept]) -> Tensor:
    """The encoded condition of each row of x [B, 4, h, w] -> [B, C, h, w], or [1, C, h, w] when all rows share it.

    Raises `ValueError` when the image does not cover the canvas that x, or a crop of it, is a part of.
    """
    places = [(sample % image.shape[0], crop) for sample, crop in zip(rows.images, rows.crops, strict=True)]
    encoded: dict[tuple[int, Crop | None], Tensor] = {}
    for place in dict.fromkeys(places):
        key = (id(net), id(image), *place, x.shape[-2:], x.device, x.dtype)
        if key not in kept:
            n, crop = place
            _check_canvas(image, crop, x)
            kept[key] = net.encode(cropped(image[n : n + 1], crop).to(x.device, x.dtype)), (net, image)
        encoded[place] = kept[key][0]
    if len(encoded) == 1:
        return encoded[places[0]]
    return torch.cat([encoded[place] for place in places])


def mask_of_rows(mask: Tensor, canvas: torch.Size, rows: Rows, like: Tensor, kept: dict[Key, Kept]) -> Tensor:
    """The mask of each row at the size of `like` [B, C, h, w], by area -> [B, 1, h, w], or [1, 1, h, w] for all.

    `canvas` is the size in pixels that the crops refer to.
    """
    places = tuple((sample % mask.shape[0], crop) for sample, crop in zip(rows.images, rows.crops, strict=True))
    if len(set(places)) == 1:
        places = places[:1]
    key = (id(mask), places, canvas, like.shape[-2:], like.device, like.dtype)
    if key not in kept:
        size = (like.shape[-2], like.shape[-1])
        parts = [_shrunk(mask[n : n + 1].float(), canvas, crop, size) for n, crop in places]
        kept[key] = torch.cat(parts).to(like.device, like.dtype), mask
    return kept[key][0]


def cropped(canvas: Tensor, crop: Crop | None) -> Tensor:
    """The crop's pixels of a canvas [n, C, H, W]; a view."""
    if crop is None:
        return canvas
    top, left, height, width = (PIXELS_PER_CELL * cells for cells in (crop.y, crop.x, crop.h, crop.w))
    return canvas[..., top : top + height, left : left + width]


def _shrunk(mask: Tensor, canvas: torch.Size, crop: Crop | None, size: tuple[int, int]) -> Tensor:
    if crop is None:
        return resize_by_area(mask, *size)
    # a mask may have another size than the canvas: the crop's edges then fall between its pixels
    down, right = PIXELS_PER_CELL * mask.shape[-2] / canvas[0], PIXELS_PER_CELL * mask.shape[-1] / canvas[1]
    window = (crop.y * down, (crop.y + crop.h) * down, crop.x * right, (crop.x + crop.w) * right)
    return resize_by_area(mask, *size, window)


def _check_canvas(image: Tensor, crop: Crop | None, x: Tensor) -> None:
    height, width = image.shape[-2:]
    h, w = x.shape[-2:]
    if crop is None:
        if (height, width) != (PIXELS_PER_CELL * h, PIXELS_PER_CELL * w):
            raise ValueError(
                f"the condition image is {width}x{height} pixels, the latent {w}x{h} cells and so "
                f"{PIXELS_PER_CELL * w}x{PIXELS_PER_CELL * h} pixels; resize the image with zeroctl_core.canvas"
            )
        return
    if (crop.h, crop.w) != (h, w):
        raise ValueError(f"the latent is {w}x{h} cells, its crop {crop.w}x{crop.h}; give the crop that the latent is")
    bottom, right = PIXELS_PER_CELL * (crop.y + crop.h), PIXELS_PER_CELL * (crop.x + crop.w)
    if bottom > height or right > width:
        raise ValueError(
            f"a crop reaches to pixel {right}x{bottom}, the condition image has {width}x{height}; "
            "resize the image to the whole canvas with zeroctl_core.canvas"
        )
