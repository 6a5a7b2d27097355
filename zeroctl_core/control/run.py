"""What stays the same during a sampling run: its noise levels, encoded conditions, masks at each size."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from torch import Tensor

from ..canvas.by_area import resize_by_area
from ..canvas.cells import PIXELS_PER_CELL
from ..residuals import Feature
from .overflow import Overflow
from .rows import Crop, Rows
from .schedule import Schedule
from .steps import Steps
from .unit import Net

T = TypeVar("T")


class Cache:
    """Features and other tensors by what they were computed from: encoded conditions, masks at each size, rows.

    From the second step of a run on, a call finds here what does not depend on the step.
    """

    def __init__(self) -> None:
        self._entries: dict[tuple[Hashable, ...], tuple[Any, tuple[object, ...]]] = {}

    def get(self, sources: tuple[object, ...], key: tuple[Hashable, ...], compute: Callable[[], T]) -> T:
        """What was computed of these objects, compared by identity, and of this key; computed the first time."""
        full_key = (*map(id, sources), *key)
        if full_key not in self._entries:
            self._entries[full_key] = compute(), sources  # while the sources are held, nothing else can get their id
        result: T = self._entries[full_key][0]
        return result


@dataclass(eq=False)
class Run:
    """Made when a sampling run starts, handed to every call of it, dropped when it ends.

    `percent_to_sigma` is the model's, `sigmas` are the run's N + 1 noise levels or its `Steps`: what `Schedule.bind`
    needs. The rest fills itself.
    """

    percent_to_sigma: Callable[[float], float]
    sigmas: Sequence[float] | Tensor | Steps
    cache: Cache = field(default_factory=Cache)
    overflow: Overflow = field(default_factory=Overflow)
    _strengths: dict[Schedule, Callable[[float], float]] = field(default_factory=dict)

    def strength(self, schedule: Schedule, sigma: float) -> float:
        """The schedule's strength at this noise level of this run."""
        if schedule not in self._strengths:
            self._strengths[schedule] = schedule.bind(self.percent_to_sigma, self.sigmas)
        return self._strengths[schedule](sigma)


def feature_of_rows(net: Net, image: Tensor, rows: Rows, x: Tensor, cache: Cache) -> Feature:
    """The encoded condition of each row of x [B, 4, h, w] -> maps [B, C, h, w], or [1, C, h, w] when all rows share it.

    Raises `ValueError` when the image does not cover the canvas that x, or a crop of it, is a part of.
    """

    def encode(sample: int, crop: Crop | None) -> Feature:
        _check_canvas(image, crop, x)
        return net.encode(cropped(image[sample : sample + 1], crop).to(x.device, x.dtype))

    def feature(place: Place) -> Feature:
        return cache.get((net, image), ("feature", *place, *_form(x)), lambda: encode(*place))

    places = _places(rows, image.shape[0])
    if len(places) == 1:
        return feature(places[0])
    return _stacked([feature(place) for place in places])


def _stacked(features: Sequence[Feature]) -> Feature:
    """Of one row each -> of all rows."""
    single = [feature for feature in features if isinstance(feature, Tensor)]
    if single:
        return torch.cat(single)
    return tuple(torch.cat(maps) for maps in zip(*features, strict=True))


def mask_of_rows(mask: Tensor, canvas: torch.Size, rows: Rows, like: Tensor, cache: Cache) -> Tensor:
    """The mask of each row at the size of `like` [B, C, h, w], by area -> [B, 1, h, w], or [1, 1, h, w] for all.

    `canvas` is the size in pixels that the crops refer to.
    """
    places = _places(rows, mask.shape[0])

    def shrink() -> Tensor:
        size = (like.shape[-2], like.shape[-1])
        parts = [_shrunk(mask[sample : sample + 1].float(), canvas, crop, size) for sample, crop in places]
        return torch.cat(parts).to(like.device, like.dtype)

    return cache.get((mask,), ("mask", places, canvas, *_form(like)), shrink)


def index_of_rows(rows: Sequence[int], device: torch.device, cache: Cache) -> slice | Tensor:
    """What picks rows, ascending, out of a batch: neighbours as a slice, which is a view; others by their numbers."""
    if rows[-1] - rows[0] + 1 == len(rows):
        return slice(rows[0], rows[-1] + 1)
    return cache.get((), ("index", *rows, device), lambda: torch.tensor(rows, device=device))


def factors_of_rows(factors: Sequence[float], like: Tensor, cache: Cache) -> Tensor:
    """A factor for each row, [B, 1, ...] with as many dimensions, on the device and in the dtype of `like`."""

    def tensor() -> Tensor:
        return torch.tensor(factors, device=like.device, dtype=like.dtype).reshape(-1, *(1,) * (like.ndim - 1))

    return cache.get((), ("factors", *factors, like.ndim, like.device, like.dtype), tensor)


Place = tuple[int, Crop | None]
"""Which of a unit's images or masks, and which part of the canvas."""


def _places(rows: Rows, n: int) -> tuple[Place, ...]:
    """The place of every row among n images or masks; a single one where all rows have the same."""
    places = tuple((sample % n, crop) for sample, crop in zip(rows.images, rows.crops, strict=True))
    return places[:1] if len(set(places)) == 1 else places


def _form(x: Tensor) -> tuple[Hashable, ...]:
    return x.shape[-2:], x.device, x.dtype


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
