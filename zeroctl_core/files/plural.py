"""Numbers in messages: one with its noun, and several of them."""

from __future__ import annotations

from collections.abc import Sequence

SOME = 6
"""So many names or numbers are listed."""


def plural(number: int, noun: str) -> str:
    """`1 step`, `3 steps`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def some(numbers: Sequence[int]) -> str:
    """`0, 3`, and of many `0, 1, 2, 3, 4, 5 and 14 more`."""
    rest = len(numbers) - SOME
    return ", ".join(map(str, numbers[:SOME])) + (f" and {rest} more" if rest > 0 else "")
