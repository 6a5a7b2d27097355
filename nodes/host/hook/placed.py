"""Condition images and masks on the canvas of a run, kept for the next run of the same graph."""

from __future__ import annotations

import math
import time
from dataclasses import replace

import comfy.model_management
import comfy.utils
import torch
from torch import Tensor

from zeroctl_core.canvas import Placed, prepared_mask, resize_condition

from ..notices import notice
from ..units import Unit
from .kept import Kept

__all__ = ["placed_image", "placed_mask"]

KEPT = Kept()

PATIENCE = 1.0
"""Seconds after which a user is told what is going on."""


def placed_image(image: Tensor, height: int, width: int, mode: str) -> Placed:
    """[B, C, H, W], checked -> on a canvas of so many pixels; may be interrupted between two pictures."""

    def make() -> Placed:
        progress = _Progress(len(image), "condition images", (height, width))
        return resize_condition(image, height, width, mode, scan=False, before_each=progress)

    result = KEPT.get(image, (mode, height, width), make, lambda result: result.image.nbytes)
    # the same pixels in another tensor object, by whose identity a run knows what it made of them; a view of its own
    # shape could have other strides
    return replace(result, image=result.image.detach())


def placed_mask(unit: Unit, mask: Tensor, canvas_size: tuple[int, int]) -> Tensor:
    """The `mask` [B, H, W] of a unit on a canvas of so many pixels, feathered and inverted: [B, 1, *canvas_size].

    May be interrupted, within a feather too.
    """
    image_size = (unit.image.shape[-2], unit.image.shape[-1])
    settings = (unit.resize, image_size, canvas_size, unit.mask_invert, unit.mask_feather)

    def make() -> Tensor:
        progress = _Progress(len(mask), "masks", canvas_size)
        masks = []
        for number, one in enumerate(mask):
            progress(number)
            masks.append(
                prepared_mask(
                    one,
                    image_size=image_size,
                    canvas_size=canvas_size,
                    mode=unit.resize,
                    invert=unit.mask_invert,
                    feather=unit.mask_feather,
                    scan=False,
                    pause=progress.pause,
                )
            )
        return torch.cat(masks)

    return KEPT.get(mask, settings, make, lambda result: result.nbytes)


class _Progress:
    """Called before each picture of a batch, and `pause` within one: hears an interruption, and says once that it takes
    longer."""

    def __init__(self, count: int, what: str, canvas_size: tuple[int, int]) -> None:
        height, width = canvas_size
        self._what = what
        self._text = f"of {count} {what} are on the canvas of {width}x{height}; the next run keeps them."
        self._bar = comfy.utils.ProgressBar(count)
        self._number = 0
        self._due = time.monotonic() + PATIENCE

    def __call__(self, number: int) -> None:
        self._number = number
        self.pause()
        self._bar.update_absolute(number)

    def pause(self) -> None:
        comfy.model_management.throw_exception_if_processing_interrupted()
        if time.monotonic() > self._due:
            self._due = math.inf
            notice(f"Placing {self._what}", f"{self._number} {self._text}", "info")
