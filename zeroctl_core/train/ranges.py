"""Numbers of a config that must be finite and in their range."""

from __future__ import annotations

import math

LARGEST_SEED = (1 << 62) - 1
"""Every generator of random numbers that a seed reaches takes twice as much."""


def check_number(name: str, value: float, is_in_range: bool, expected: str) -> None:
    """Raises `ValueError` for a number that is out of its range, or is NaN or infinite."""
    if not (is_in_range and math.isfinite(value)):
        text = f"{value:g}" if isinstance(value, float) else value  # a seed in full
        raise ValueError(f"{name} is {text}; expected {expected}")


def check_at_least(name: str, value: float, least: float) -> None:
    """Raises `ValueError` for a number below `least`, NaN and infinity."""
    check_number(name, value, value >= least, f"{least:g} or more")


def check_positive(name: str, value: float) -> None:
    """Raises `ValueError` for 0, for a number below it, NaN and infinity."""
    check_number(name, value, value > 0, "a finite number above 0")


def check_seed(name: str, value: int) -> None:
    """Raises `ValueError` for a seed that some generator of random numbers would refuse."""
    check_number(name, value, 0 <= value <= LARGEST_SEED, f"0 to {LARGEST_SEED}")
