"""Ctrl-C that waits for the end of the step, so that nothing that was computed is lost."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)  # a person's Ctrl-C, and how schedulers end what they run


class Interruption:
    """Whether somebody asked to stop. As a callback of the loop it stops it, after a whole step."""

    def __init__(self) -> None:
        self.is_requested = False

    def __call__(self, now: object = None) -> None:
        """Raises `KeyboardInterrupt` when somebody asked."""
        if self.is_requested:
            raise KeyboardInterrupt


@contextmanager
def deferred_interrupts(say: Callable[[str], None]) -> Iterator[Interruption]:
    """Turn the first Ctrl-C (or SIGTERM) into a question that is answered between steps; the second stops at once.

    In another thread than the main one signals are not ours to take: there it does nothing.
    """
    interruption = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield interruption
        return

    def ask(number: int, frame: FrameType | None) -> None:
        if interruption.is_requested:
            raise KeyboardInterrupt
        interruption.is_requested = True
        say("stopping after this step (again: at once)")

    before = {number: signal.signal(number, ask) for number in SIGNALS}
    try:
        yield interruption
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
