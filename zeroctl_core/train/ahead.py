"""What the next step needs is made while this one is computed."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

T = TypeVar("T")


class Ahead(Generic[T]):
    """`make(step)`, with that of the following step begun in a thread. `make` must depend on the step alone."""

    def __init__(self, make: Callable[[int], T]) -> None:
        self._make = make
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="next batch")
        self._next: tuple[int, Future[T]] | None = None

    def __call__(self, step: int) -> T:
        """Raises what `make` raises."""
        ahead, self._next = self._next, None
        value = ahead[1].result() if ahead is not None and ahead[0] == step else self._make(step)
        self._next = step + 1, self._thread.submit(self._make, step + 1)
        return value
