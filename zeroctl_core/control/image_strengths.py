"""Strengths of the images of a run: one for each latent of a batch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..files.key_faults import short
from .curve import LARGEST_VALUE, Curve, Interpolation


@dataclass(frozen=True)
class ImageStrengths:
    """By the number of a sample in its batch, from 0: sample r has number r mod n, or the curve's value at r."""

    numbers: tuple[float, ...]
    curve: Curve | None = None

    def __call__(self, sample: int) -> float:
        return self.numbers[sample % len(self.numbers)] if self.curve is None else self.curve(sample)

    def __len__(self) -> int:
        """For so many latents they are made: a number for each, or up to the curve's last point."""
        return len(self.numbers) if self.curve is None else math.floor(self.curve.positions[-1]) + 1

    @property
    def is_zero(self) -> bool:
        """Whether every sample of every batch has strength 0."""
        return not any(self.numbers if self.curve is None else self.curve.values)

    def of(self, samples: Sequence[int]) -> tuple[float, ...]:
        return tuple(self(sample) for sample in samples)

    @classmethod
    def parse(cls, text: str, interpolation: Interpolation = "linear") -> ImageStrengths | None:
        """Read `1, 0.5, 0`, a number for each latent, or `1@0, 0@15`, a curve over their numbers; None for no text.

        Raises `ValueError` for what cannot be read, and for numbers that are not finite or too large.
        """
        if not text.strip():
            return None
        if "@" in text:
            return cls((), Curve.parse(text, interpolation, descending=False, highest=math.inf, order="the latents"))
        return cls(tuple(_number(entry.strip(), place) for place, entry in enumerate(text.split(","))))


def _number(entry: str, place: int) -> float:
    try:
        number = float(entry)
    except ValueError:
        fault = f"{short(entry)!r} is not a number" if entry else "nothing is written"
        raise ValueError(
            f"{fault} for latent {place}; write a number for each latent, such as 1, 0.5, 0, or a curve over their "
            "numbers, such as 1@0, 0@15"
        ) from None
    if not abs(number) <= LARGEST_VALUE:
        raise ValueError(
            f"the strength of latent {place} is {number:g}; write a number from {-LARGEST_VALUE:g} to {LARGEST_VALUE:g}"
        )
    return number
