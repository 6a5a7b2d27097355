"""Condition images on the canvas of a run, kept for the next run of the same graph."""

from __future__ import annotations

import math
import threading
import time
import weakref
from collections import OrderedDict
from dataclasses import replace

import comfy.model_management
import comfy.utils
from torch import Tensor

from zeroctl_core.canvas import Placed, resize_condition

from ..notices import notice

__all__ = ["PlacedImages"]

MOST_BYTES = 1 << 28
"""What is kept: 85 pictures of 512x512, or 21 of 1024x1024."""
PATIENCE = 1.0
"""Seconds after which a user is told what is going on."""

Key = tuple[int, str, int, int]


class PlacedImages:
    """What `resize_condition` made of images that are still alive, the last used last.

    An image is known by its identity, and what was made of it goes when it goes: as long as a graph is not changed, the
    host keeps its images between two runs.
    """

    def __init__(self) -> None:
        self._entries: OrderedDict[Key, tuple[weakref.ref[Tensor], Placed]] = OrderedDict()
        self._lock = threading.RLock()  # an image may go while the lock is held

    def get(self, image: Tensor, height: int, width: int, mode: str) -> Placed:
        """[B, C, H, W], checked -> on a canvas of so many pixels; may be interrupted between two pictures."""
        key = (id(image), mode, height, width)
        with self._lock:
            image_of_entry, result = self._entries.get(key, (None, None))
            if result is not None and image_of_entry is not None and image_of_entry() is image:
                self._entries.move_to_end(key)
                return _of_one_run(result)
        result = resize_condition(
            image, height, width, mode, scan=False, before_each=_Progress(len(image), height, width)
        )
        with self._lock:
            self._entries[key] = weakref.ref(image, lambda _: self._drop(key)), result
            while self._entries and self.size() > MOST_BYTES:
                self._entries.popitem(last=False)
        return _of_one_run(result)

    def size(self) -> int:
        """Bytes of all that is kept."""
        return sum(result.image.nbytes for _, result in self._entries.values())

    def _drop(self, key: Key) -> None:
        with self._lock:
            self._entries.pop(key, None)


def _of_one_run(result: Placed) -> Placed:
    """The same pixels in another tensor object, by whose identity a run knows what it made of them."""
    return replace(result, image=result.image.detach())  # a view of its own shape could have other strides


class _Progress:
    """Called before each picture of a batch: hears an interruption, and says once that it takes longer."""

    def __init__(self, count: int, height: int, width: int) -> None:
        self._text = f"of {count} condition images are on the canvas of {width}x{height}; the next run keeps them."
        self._bar = comfy.utils.ProgressBar(count)
        self._due = time.monotonic() + PATIENCE

    def __call__(self, number: int) -> None:
        comfy.model_management.throw_exception_if_processing_interrupted()
        self._bar.update_absolute(number)
        if time.monotonic() > self._due:
            self._due = math.inf
            notice("Placing condition images", f"{number} {self._text}", "info")
