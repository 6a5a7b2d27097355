"""Tensors from a file in memory of their own: huge pages, a few threads, and each part is looked at while it is hot."""

from __future__ import annotations

import mmap
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

import torch
from torch import Tensor

from .checkpoint_error import CheckpointError
from .extremes import FIRST_NOT_FINITE, PART, Bytes, Extremes, bytes_of, extremes_of_bytes, joined
from .key_faults import short
from .threads import MOST_THREADS, for_each

HUGE_PAGE = 1 << 21
PIECE = 1 << 23
"""Bytes that one thread reads: two that touch a new huge page together make it twice."""


@dataclass(frozen=True)
class Place:
    """Where the bytes of a tensor lie in the file, and what they are."""

    dtype: torch.dtype
    shape: tuple[int, ...]
    begin: int
    end: int


class _Piece(NamedTuple):
    """Where a piece of a tensor begins in the file, and the memory that it goes to."""

    key: str
    dtype: torch.dtype
    begin: int
    array: Bytes


def read_tensors(
    file: BinaryIO, path: Path, places: Mapping[str, Place]
) -> tuple[dict[str, Tensor], dict[int, Extremes]]:
    """The tensors, which nothing that happens to the file can change, and by the id of each its extremes.

    They take as much memory as the file is large. Raises `CheckpointError` where the file ends too early.
    """
    tensors: dict[str, Tensor] = {}
    pieces: list[_Piece] = []
    extremes: dict[str, list[Extremes]] = {key: [] for key in places}
    for key, place in places.items():
        memory = _memory(place.end - place.begin)
        tensors[key] = memory.view(place.dtype).view(place.shape)
        array = bytes_of(memory)
        for at in range(0, len(array), PIECE):
            pieces.append(_Piece(key, place.dtype, place.begin + at, array[at : at + PIECE]))

    def read(piece: _Piece) -> None:
        for at in range(0, len(piece.array), PART):
            part = piece.array[at : at + PART]
            if not _filled(file, piece.begin + at, part):
                raise CheckpointError(f"{short(path.name)} was cut off while it was read; load it again")
            if piece.dtype in FIRST_NOT_FINITE:
                extremes[piece.key].append(extremes_of_bytes(part, piece.dtype))

    for_each(read, pieces, MOST_THREADS if hasattr(os, "preadv") else 1)
    return tensors, {id(tensors[key]): joined(parts) for key, parts in extremes.items() if parts}


def _memory(size: int) -> Tensor:
    """So many bytes. The system makes huge pages, where it has them, in a third of the time of small ones."""
    if size >= HUGE_PAGE and hasattr(mmap, "MADV_HUGEPAGE"):
        try:
            pages = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            pages.madvise(mmap.MADV_HUGEPAGE)
            return torch.frombuffer(pages, dtype=torch.uint8)
        except OSError:  # a system built without them
            pass
    return torch.empty(size, dtype=torch.uint8)


def _filled(file: BinaryIO, begin: int, part: Bytes) -> bool:
    """Fill memory from a place of the file; whether it held so much. Windows has one place for all threads."""
    rest = memoryview(part)  # type: ignore[arg-type]
    while rest:
        if hasattr(os, "preadv"):
            count = os.preadv(file.fileno(), [rest], begin)
        else:
            file.seek(begin)
            count = file.readinto(rest)  # type: ignore[attr-defined]
        if not count:
            return False
        rest, begin = rest[count:], begin + count
    return True
