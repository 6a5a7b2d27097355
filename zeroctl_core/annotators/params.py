"""What a user may set on an annotator: numbers, choices and switches. Nodes make their sliders from these."""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass
from numbers import Real

from ..files.key_faults import short

Value = int | float | str | bool


@dataclass(frozen=True)
class Param:
    """One number in `range`, both ends included; a whole one when `default` is an `int`. `step` is for sliders.

    `added`: came to an annotator that workflows were saved with; its default is what they had, its input the last.
    `advanced`: few touch it, and front ends fold it away until they are asked.
    """

    name: str
    default: int | float
    _: KW_ONLY
    range: tuple[int | float, int | float]
    step: int | float
    help: str
    added: bool = False
    advanced: bool = False

    def check(self, owner: str, value: object) -> None:
        """Raises `ValueError` for what is not a number in the range; nothing is clamped."""
        low, high = self.range
        whole = isinstance(self.default, int)
        number = _number(value)
        if not low <= number <= high or (whole and not number.is_integer()):
            expected = f"a {'whole ' if whole else ''}number from {low} to {high}"
            raise _refusal(owner, self, value, expected)


@dataclass(frozen=True)
class Choice:
    """One of several words; the first is the default."""

    name: str
    options: tuple[str, ...]
    _: KW_ONLY
    help: str
    added: bool = False
    advanced: bool = False

    @property
    def default(self) -> str:
        return self.options[0]

    def check(self, owner: str, value: object) -> None:
        """Raises `ValueError` for a word that is not among the options."""
        if value not in self.options:
            raise _refusal(owner, self, value, f"one of {', '.join(self.options)}")


@dataclass(frozen=True)
class Switch:
    """On or off."""

    name: str
    default: bool
    _: KW_ONLY
    help: str
    added: bool = False
    advanced: bool = False

    def check(self, owner: str, value: object) -> None:
        """Raises `ValueError` for anything but True and False."""
        if not isinstance(value, bool):
            raise _refusal(owner, self, value, "True or False")


Setting = Param | Choice | Switch


def _number(value: object) -> float:
    """NaN, which lies in no range, for what is not a number; infinity for a whole one that no float can hold."""
    if not isinstance(value, Real) or isinstance(value, bool):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _refusal(owner: str, param: Setting, value: object, expected: str) -> ValueError:
    text = short(repr(value))
    return ValueError(f"{owner}: {param.name} is {text}; expected {expected} (default {param.default})")
