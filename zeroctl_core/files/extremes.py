"""The largest numbers of an array by their bits: whether all are finite, whether all are zero."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Bytes = npt.NDArray[np.uint8]

PART = 1 << 20
"""Bytes that the cache of a core holds, so that looking at them twice costs one pass through memory."""

FIRST_NOT_FINITE = {
    getattr(torch, name): bits
    for name, bits in {
        "float64": 0x7FF0 << 48,
        "float32": 0x7F80 << 16,
        "float16": 0x7C00,
        "bfloat16": 0x7F80,
        "float8_e5m2": 0x7C,
        "float8_e4m3fn": 0x7F,
    }.items()
}
"""The bits of infinity, or of NaN where there is no infinity. Finite numbers have smaller ones, the sign aside."""


class Extremes(NamedTuple):
    """The largest bits of an array, read with a sign and without: the largest number of either sign."""

    dtype: torch.dtype
    signed: int
    unsigned: int

    @property
    def finite(self) -> bool:
        first, sign = FIRST_NOT_FINITE[self.dtype], self._sign
        return self.signed < first and self.unsigned < sign + first

    @property
    def zero(self) -> bool:
        """Whether all are 0 or -0."""
        return self.signed <= 0 and self.unsigned in (0, self._sign)

    @property
    def _sign(self) -> int:
        return 1 << (8 * self.dtype.itemsize - 1)


def extremes_of_bytes(array: Bytes, dtype: torch.dtype) -> Extremes:
    """Those of at least one number, given as bytes."""
    size = dtype.itemsize
    signed, unsigned = array.view(f"i{size}").max(), array.view(f"u{size}").max()
    return Extremes(dtype, int(signed), int(unsigned))


def extremes_of(tensor: Tensor) -> Extremes:
    """Those of a floating point tensor that is not empty; nothing is computed, so nothing overflows."""
    if tensor.dtype not in FIRST_NOT_FINITE:  # a rarer fp8
        tensor = tensor.float()
    array = bytes_of(tensor.contiguous())
    return joined([extremes_of_bytes(array[at : at + PART], tensor.dtype) for at in range(0, len(array), PART)])


def joined(parts: list[Extremes]) -> Extremes:
    """Those of an array from those of its parts."""
    return Extremes(parts[0].dtype, max(part.signed for part in parts), max(part.unsigned for part in parts))


def bytes_of(tensor: Tensor) -> Bytes:
    """The memory of a contiguous tensor."""
    array: Bytes = tensor.detach().reshape(-1).view(torch.uint8).numpy()
    return array
