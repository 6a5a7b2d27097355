"""Which units of a run first added something that is not finite: watched on the device, read when the run is over."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable

import torch
from torch import Tensor

INPUT: tuple[Hashable, ...] = ()
"""Key of the latents that a call starts from."""


class Overflow:
    """The call in which something was first not finite, for each group of units that share a run of their network.

    A sample that is not finite spoils every call after it, so that only the first call says whose fault it was.
    No tensor is read back before `units` is asked for. A sum in float32 of what float16 holds cannot overflow itself.
    """

    def __init__(self) -> None:
        self._calls = 0
        self._first: dict[tuple[Hashable, ...], Tensor] = {}

    def begin(self, x: Tensor) -> None:
        """A call of the UNet with these latents; what is watched until the next one belongs to it."""
        self._calls += 1
        self.watch(INPUT, (x,))

    def watch(self, units: tuple[Hashable, ...], maps: Iterable[Tensor]) -> None:
        """Take in what these units add in a call."""
        total: Tensor | float = 0.0
        for values in maps:
            total = values.sum(dtype=torch.float32) + total
        if isinstance(total, Tensor):
            first = self._first.get(units)
            first = torch.full((), math.inf, device=total.device) if first is None else first
            self._first[units] = torch.where(total.isfinite(), first, first.clamp(max=self._calls))

    def units(self) -> set[Hashable]:
        """The units of the first call in which something was not finite; none where its latents were not.

        Waits for the device.
        """
        # on meta there are no values
        first = {units: math.inf if call.is_meta else call.item() for units, call in self._first.items()}
        start = min(first.values(), default=math.inf)
        if math.isinf(start) or first.get(INPUT) == start:
            return set()
        return {unit for units, call in first.items() if call == start for unit in units}
