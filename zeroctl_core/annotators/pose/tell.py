"""How a reader says what it leaves out or takes otherwise: to a function that gets one sentence."""

from __future__ import annotations

from collections.abc import Callable

Tell = Callable[[str], None]
"""Gets a sentence without a full stop, the same one for every frame that it is about."""


def say_nothing(text: str) -> None:
    """Who does not ask is not told."""
