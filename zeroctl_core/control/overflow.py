"""Which units of a run added something that is not finite: watched on the device, read when the run is over."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor


class Overflow:
    """A sum for each group of units that share a run of their network: it is not finite once something in it was not.

    No tensor is read back before `units` is asked for. A sum in float32 of what float16 holds cannot overflow itself.
    """

    def __init__(self) -> None:
        self._sums: dict[tuple[int, ...], Tensor] = {}

    def watch(self, units: tuple[int, ...], maps: Iterable[Tensor]) -> None:
        """Take in what these units add in one call."""
        for values in maps:
            total = values.sum(dtype=torch.float32)
            self._sums[units] = self._sums[units] + total if units in self._sums else total

    def units(self) -> set[int]:
        """The units of which something was not finite. Waits for the device."""
        return {
            unit
            for units, total in self._sums.items()
            if not total.is_meta and not math.isfinite(total.item())  # on meta there are no values
            for unit in units
        }
