"""The steps of a sampling run: which one a call is of, and where they lie where the run is a part of a longer one."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Steps", "float32"]

FIRST = 0.99
"""Share of the model's highest noise level from which on a run is at the beginning."""


def float32(value: float) -> float:
    """Rounded as a sampler holds it: the host compares float32 sigmas, and equality counts at both ends of a window."""
    return struct.unpack("f", struct.pack("f", float(value)))[0]


@dataclass
class Reported:
    """How many steps of the run the sampler has reported."""

    n: int = 0


class Steps:
    """The steps of a run with these N + 1 noise levels.

    total: how many steps the whole run has of which this is a part; 0: this is all of it. before: how many of them came
    earlier; None: not known, then the part's own steps are counted. reported: counted up by who samples. churn: a
    sampler raises the levels before its steps.

    Where levels rise, repeat or are raised, the steps reported so far say which one a call is of.

    Raises `ValueError` for a total that does not hold the steps of this part.
    """

    def __init__(
        self,
        sigmas: Sequence[float] | Tensor,
        *,
        total: int = 0,
        before: int | None = None,
        churn: bool = False,
        reported: Reported | None = None,
    ) -> None:
        self.sigmas = [float32(sigma) for sigma in sigmas]
        self.n = max(len(self.sigmas) - 1, 1)  # a run of one sigma has no steps and never asks
        self.total = total or self.n
        self.before = before if total else 0
        self.reported = Reported() if reported is None else reported
        self._churn = churn
        falls = all(low < high for high, low in zip(self.sigmas, self.sigmas[1:], strict=False))
        self.by_order = churn or not falls
        """Whether the noise level does not say which step a call is of."""
        if (self.before or 0) + self.n > self.total:
            earlier = f", after {self.before} earlier ones" if self.before else ""
            raise ValueError(
                f"the whole run has {self.total} steps by its settings, this part of it {self.n}{earlier}; give the "
                "number of steps of all parts together, or 0"
            )

    def within(self, total: int, highest: float) -> Steps:
        """These steps as a part of a run of `total` steps.

        Where they begin is known where `before` is, else by their ends: a part that ends at 0 is the last one, and one
        that begins at `highest`, the model's highest noise level, is the first.
        """
        before = self.before if self.total > self.n else None
        if before is None and self.sigmas and self.sigmas[-1] == 0.0:
            before = max(total - self.n, 0)
        elif before is None and self.sigmas and self.sigmas[0] >= FIRST * highest:
            before = 0
        return Steps(self.sigmas, total=total, before=before, churn=self._churn, reported=self.reported)

    def anew(self) -> Steps:
        """The same steps before the first of them is reported."""
        return Steps(self.sigmas, total=self.total, before=self.before, churn=self._churn, reported=Reported())

    def share(self, sigma: float, end: bool = False) -> float:
        """The share of the run that lies before the step of this noise level; with `end`, this step included."""
        before, total = (0, self.n) if self.before is None else (self.before, self.total)
        return (before + self.at(sigma) + end) / total

    def at(self, sigma: float) -> int:
        """The step of this part that a call is of: one between two of its levels is of the earlier step.

        A sampler that adds noise first starts above the run's first level: that is step 0 too.
        """
        if not self.by_order:
            return max(sum(level >= sigma for level in self.sigmas) - 1, 0)
        ended = min(self.reported.n, self.n)
        if ended == 0 or ended == len(self.sigmas):
            return ended
        first, second = self.sigmas[ended - 1], self.sigmas[ended]
        # a step is reported after its first evaluation, and a second one lies between its two levels
        again = not self._churn and min(first, second) <= sigma <= max(first, second) and sigma != second
        return ended - 1 if again else ended
