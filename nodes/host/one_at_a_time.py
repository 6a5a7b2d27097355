"""Work for pages, off the server's loop: one piece after the other, so that a run in the queue loses one thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from .json_request import Refused

__all__ = ["MOST_WAITING", "OneAtATime"]

MOST_WAITING = 16
"""Requests that wait for their turn. A page has one for each node that is being changed; what is more is sent away."""

T = TypeVar("T")


class OneAtATime:
    """A thread with a bounded queue. what: is asked for, in the plural; the thread has its name."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._waiting = 0
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"zeroctl-{what}")

    async def run(self, work: Callable[[], T]) -> T:
        """What the work returns. A caller that goes away does not take the turn of the next.

        Raises `Refused` where too many wait, and what the work raises.
        """
        if self._waiting >= MOST_WAITING:
            raise Refused(503, f"Too many {self._what} are asked for at once; ask again.")
        self._waiting += 1
        try:
            return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._worker, work))
        finally:
            self._waiting -= 1
