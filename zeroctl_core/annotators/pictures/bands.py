"""A large picture in parts that follow each other."""

from __future__ import annotations


def bands(height: int, rows: int) -> list[slice]:
    """All rows of a picture, at most so many at a time and at least one."""
    rows = max(1, rows)
    return [slice(top, min(top + rows, height)) for top in range(0, height, rows)]
