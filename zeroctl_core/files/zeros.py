"""Zeros at the end of a file, which a program leaves that reserves the file first and is interrupted."""

from __future__ import annotations

from pathlib import Path

FEWEST_ZEROS = 64
"""Bytes of zeros at the end of a tensor that no training leaves by chance."""
FIRST_PART, PART = 1 << 16, 1 << 24


def zeros_begin(path: Path, size: int) -> int:
    """The byte from which on a file holds nothing but zeros; its size where the last byte is not 0."""
    end = size
    with path.open("rb") as file:
        while end:
            begin = max(0, end - (FIRST_PART if end == size else PART))
            file.seek(begin)
            rest = file.read(end - begin).rstrip(b"\0")
            if rest:
                return begin + len(rest)
            end = begin
    return 0
