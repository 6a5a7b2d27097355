"""What was made of a tensor of the graph, kept for the next run as long as the graph keeps the tensor."""

from __future__ import annotations

import threading
import weakref
import zlib
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar, cast

import torch
from torch import Tensor

__all__ = ["Kept"]

MOST_BYTES = 1 << 28
"""What is kept: 85 pictures of 512x512, or 21 of 1024x1024."""
T = TypeVar("T")


class Kept:
    """Results by the memory of the tensor that they were made of, the last used last.

    Nodes hand on views of one memory: ControlNet Control makes a new one whenever one of its other inputs changes.
    What was made of a memory goes when it goes.
    """

    def __init__(self) -> None:
        self._entries: OrderedDict[Hashable, tuple[weakref.ref[Any], int, Any, int]] = OrderedDict()
        self._lock = threading.RLock()  # a memory may go while the lock is held

    def get(self, source: Tensor, settings: Hashable, make: Callable[[], T], size: Callable[[T], int]) -> T:
        """What `make` made of `source` under these settings, of so many bytes by `size`."""
        memory = source.untyped_storage()
        place = (memory.data_ptr(), source.storage_offset(), tuple(source.shape), source.stride(), source.dtype)
        key, look = (place, settings), _look(source)
        with self._lock:
            owner, looked, result, _ = self._entries.get(key, (None, 0, None, 0))
            if owner is not None and owner() is memory and looked == look:
                self._entries.move_to_end(key)
                return cast(T, result)
        result = make()
        with self._lock:
            self._entries[key] = weakref.ref(memory, lambda _: self._drop(key)), look, result, size(result)
            self._entries.move_to_end(key)
            while self._entries and self.size() > MOST_BYTES:
                self._entries.popitem(last=False)
        return result

    def size(self) -> int:
        """Bytes of all that is kept."""
        return sum(size for *_, size in self._entries.values())

    def _drop(self, key: Hashable) -> None:
        with self._lock:
            self._entries.pop(key, None)


def _look(source: Tensor) -> int:
    """A checksum of every number: another node may have changed any in place, which inference mode does not count.

    A mask of 4096x4096 takes 24 ms on one thread, and an image of that size 84.
    """
    # in the order of memory, which a view of channels last is not in by its own dimensions
    order = sorted(range(source.ndim), key=source.stride, reverse=True)
    numbers = source.permute(order).cpu().contiguous().reshape(-1)
    return zlib.crc32(numbers.view(torch.uint8).numpy().data)
