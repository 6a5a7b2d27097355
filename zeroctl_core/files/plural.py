"""A number with its noun, for messages."""

from __future__ import annotations


def plural(number: int, noun: str) -> str:
    """`1 step`, `3 steps`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
