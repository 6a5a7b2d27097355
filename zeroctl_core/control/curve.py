"""A curve of strength, written as text: `1@0, 0.6@0.5, 0@0.8`."""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from typing import Literal, get_args

from ..files.key_faults import short

Interpolation = Literal["linear", "cosine"]

LARGEST_VALUE = 1000.0
"""Of either sign; a residual times more overflows to a black picture."""
INTERPOLATIONS: tuple[Interpolation, ...] = get_args(Interpolation)


@dataclass(frozen=True)
class Curve:
    """Values at ascending positions; between two of them a line or half a cosine wave, beyond the ends constant."""

    positions: tuple[float, ...]
    values: tuple[float, ...]
    interpolation: Interpolation = "linear"

    def __call__(self, position: float) -> float:
        after = bisect_right(self.positions, position)
        if after == 0:
            return self.values[0]
        if after == len(self.positions):
            return self.values[-1]
        left, right = self.positions[after - 1 : after + 1]
        share = (position - left) / (right - left)
        if self.interpolation == "cosine":
            share = (1.0 - math.cos(math.pi * share)) / 2.0
        start, end = self.values[after - 1 : after + 1]
        return start + (end - start) * share

    @classmethod
    def parse(
        cls, text: str, interpolation: Interpolation, *, descending: bool, highest: float, order: str = "sampling"
    ) -> Curve:
        """Read `value@position` entries separated by commas, in the order of what the positions belong to.

        `descending` for positions that fall during sampling (sigma); all lie in 0..highest. Values may be negative.

        Raises `ValueError` for what cannot be read, for numbers that are not finite or too large, for positions out of
        range, twice the same or out of order.
        """
        points: list[tuple[float, float]] = []
        for entry in text.split(","):
            value, position = _point(entry.strip())
            if not 0.0 <= position <= highest:
                span = "0 or more" if math.isinf(highest) else f"0 to {highest:g}"
                raise ValueError(f"curve: the point {short(entry.strip())!r} is at {position:g}; positions are {span}")
            if points:
                step = points[-1][0] - position if descending else position - points[-1][0]
                if step == 0.0:
                    raise ValueError(f"curve: two points are at {position:g}; give every position one value")
                if step < 0.0:
                    direction = "falling" if descending else "rising"
                    raise ValueError(
                        f"curve: the point at {position:g} follows the one at {points[-1][0]:g}; "
                        f"write the points in the order of {order}, with {direction} positions"
                    )
            points.append((position, value))
        points.sort()
        return cls(tuple(point[0] for point in points), tuple(point[1] for point in points), interpolation)


def _point(entry: str) -> tuple[float, float]:
    """`"0.6@0.5"` -> (0.6, 0.5)."""
    value, at, position = entry.partition("@")
    try:
        numbers = float(value), float(position)
    except ValueError:
        text = repr(short(entry)) if entry else "an empty entry"
        raise ValueError(f"curve: {text} is not a point; write value@position, such as 1@0, 0.6@0.5, 0@0.8") from None
    if not (math.isfinite(numbers[0]) and math.isfinite(numbers[1])):
        raise ValueError(
            f"curve: the point {short(entry)!r} is not finite; write two ordinary numbers, such as 0.6@0.5"
        )
    if abs(numbers[0]) > LARGEST_VALUE:
        raise ValueError(
            f"curve: the point {short(entry)!r} is too large; write a value from {-LARGEST_VALUE:g} to "
            f"{LARGEST_VALUE:g}"
        )
    return numbers
