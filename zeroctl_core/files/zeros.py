"""Zeros that a program leaves which reserves a file first and is interrupted, or loses a piece of it."""

from __future__ import annotations

from typing import BinaryIO

import torch
from torch import Tensor

FEWEST_ZEROS = 64
"""Bytes of zeros at the end of a tensor that no training leaves by chance."""
FIRST_PART, PART = 1 << 16, 1 << 24
SMALLEST_PIECE = 1 << 16
"""Bytes. Programs fetch files in larger pieces."""
SAMPLES = 4
"""Numbers that are looked at in every such piece, before all of a weight are."""
FEWEST_OF_A_ROW = 64
"""Zeros in a row where the row beside it has numbers; chance leaves so many once in 10^13 borders."""
INTEGERS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def zeros_begin(file: BinaryIO, size: int) -> int:
    """The byte from which on a file holds nothing but zeros; its size where the last byte is not 0."""
    end = size
    while end:
        begin = max(0, end - (FIRST_PART if end == size else PART))
        file.seek(begin)
        rest = file.read(end - begin).rstrip(b"\0")
        if rest:
            return begin + len(rest)
        end = begin
    return 0


def lacks_a_piece(weight: Tensor) -> bool:
    """Whether a piece of 64 KiB or more is zeros that begins or ends where no pruning does.

    Pruning leaves whole rows, columns or blocks, and single zeros. A lost piece covers rows and a part of the next one,
    the columns of which go on behind it.
    """
    size = weight.element_size()
    if weight.dim() < 2 or weight.numel() * size < SMALLEST_PIECE:
        return False
    numbers = weight.detach().contiguous().view(INTEGERS[size])
    samples = numbers.view(-1)[:: SMALLEST_PIECE // SAMPLES // size] == 0
    if not samples.unfold(0, SAMPLES, 1).all(1).any():
        return False
    rows = numbers.view(len(numbers), -1)
    empty = ~rows.any(1)
    return _breaks_off(rows, empty) or _breaks_off(rows.flip(0, 1), empty.flip(0))


def _breaks_off(rows: Tensor, empty: Tensor) -> bool:
    """Whether a row before empty ones ends in zeros under which the row before it has numbers."""
    for before in (~empty[:-2] & ~empty[1:-1] & empty[2:]).nonzero().flatten().tolist():
        last = int(rows[before + 1].nonzero()[-1]) + 1
        zeros = rows.shape[1] - last
        if zeros >= FEWEST_OF_A_ROW and 2 * int(rows[before, last:].count_nonzero()) > zeros:
            return True
    return False
