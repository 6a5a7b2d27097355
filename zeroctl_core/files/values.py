"""Whether the numbers of a file can be those of a network: all are finite, and no layer is zero that must not be."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from .checkpoint_error import CheckpointError
from .key_faults import named, short
from .plural import plural


def check_values(path: Path, weights: Mapping[str, Tensor], may_be_zero: Callable[[str], bool]) -> None:
    """Read every number once: smallest and largest in one pass, which NaN survives and nothing overflows.

    Raises `CheckpointError` for NaN and infinite numbers, and for weights that are all zero, which an interrupted
    download leaves where its program reserved the file first; a network that was never trained has none.
    """
    bad: list[str] = []
    zero: list[str] = []
    for key, tensor in weights.items():
        if tensor.numel() == 0 or not tensor.is_floating_point():
            continue
        low, high = _extremes(tensor)
        if not (math.isfinite(low) and math.isfinite(high)):
            bad.append(key)
        elif low == high == 0 and key.endswith(("weight", "running_var")) and not may_be_zero(key):
            zero.append(key)
    if bad:
        raise CheckpointError(
            f"{short(path.name)} has NaN or infinite numbers in {len(bad)} of {len(weights)} weights ({named(bad)}); "
            "every picture would be black. Download it again, or get another version"
        )
    if zero:
        raise CheckpointError(
            f"the download of {short(path.name)} is not complete: of its layers, {plural(len(zero), 'weight')} "
            f"{'is' if len(zero) == 1 else 'are'} all zeros ({named(zero)}). Download it again"
        )


def _extremes(tensor: Tensor) -> tuple[float, float]:
    if tensor.dtype.itemsize == 1:  # torch compares no fp8
        tensor = tensor.float()
    try:
        low, high = torch.aminmax(tensor)
    except (RuntimeError, NotImplementedError):  # torch before 2.2 compares no fp16
        low, high = torch.aminmax(tensor.float())
    return low.item(), high.item()
