"""Does a claim hold? Figures of several seeds with their standard errors, and the parts of a criterion over them."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

PASS, FAIL = "PASS", "FAIL"
AT_LEAST, AT_MOST, ABOVE = "at least", "at most", "above"


@dataclass(frozen=True)
class Figure:
    """One number of every seed. What two figures make together is made seed by seed."""

    values: tuple[float, ...]

    @classmethod
    def of(cls, values: Iterable[float]) -> Figure:
        return cls(tuple(float(value) for value in values))

    @property
    def mean(self) -> float:
        return statistics.fmean(self.values)

    @property
    def error(self) -> float | None:
        """The standard error of the mean; None of a single seed, which has none."""
        count = len(self.values)
        if count < 2:
            return None
        mean = self.mean  # statistics.stdev refuses what is not a number
        return math.sqrt(sum((value - mean) ** 2 for value in self.values) / (count - 1) / count)

    def __sub__(self, other: Figure) -> Figure:
        return self._with(other, lambda mine, theirs: mine - theirs)

    def __truediv__(self, other: Figure) -> Figure:
        """Over nothing it is not a number, and no bound is met."""
        return self._with(other, lambda mine, theirs: mine / theirs if theirs else math.nan)

    def _with(self, other: Figure, of_both: Callable[[float, float], float]) -> Figure:
        return Figure.of(of_both(*pair) for pair in zip(self.values, other.values, strict=True))

    def __format__(self, spec: str) -> str:
        spec = spec or ".2f"
        error = "" if self.error is None else f" ± {format(self.error, spec)}"
        return f"{format(self.mean, spec)}{error}"

    def __str__(self) -> str:
        return format(self)

    def record(self) -> dict[str, Any]:
        """For a JSON file: not a number is null there."""
        mean, error = _number(self.mean), None if self.error is None else _number(self.error)
        return {"mean": mean, "standard_error": error, "seeds": [_number(value) for value in self.values]}


def _number(value: float) -> float | None:
    """Six digits are more than any figure bears."""
    return float(f"{value:.6g}") if math.isfinite(value) else None


@dataclass(frozen=True, kw_only=True)
class Part:
    """One part of a criterion: a figure that is to be at least, at most or above a bound, and beyond it by a number of
    standard errors. Of a single seed there is no such error, and a part that asks for it does not hold."""

    what: str
    figure: Figure
    bound: float
    relation: str = AT_LEAST
    errors: float = 0.0
    spec: str = ".2f"

    @property
    def holds(self) -> bool:
        if self.errors and self.figure.error is None:
            return False
        away = self.figure.mean - self.bound
        beyond = (-away if self.relation == AT_MOST else away) - self.errors * (self.figure.error or 0.0)
        return beyond > 0 if self.relation == ABOVE else beyond >= 0

    def __str__(self) -> str:
        errors = f" by {self.errors:g} standard errors" if self.errors else ""
        return f"{self.what} {format(self.figure, self.spec)} ({self.relation} {self.bound:g}{errors})"

    def record(self) -> dict[str, Any]:
        bound = {self.relation.replace(" ", "_"): self.bound}
        errors = {"by_standard_errors": self.errors} if self.errors else {}
        return {"part": self.what, **self.figure.record(), **bound, **errors, "holds": self.holds}


def at_least(what: str, figure: Figure, bound: float, *, errors: float = 0.0, spec: str = ".2f") -> Part:
    return Part(what=what, figure=figure, bound=bound, errors=errors, spec=spec)


def at_most(what: str, figure: Figure, bound: float, *, errors: float = 0.0, spec: str = ".2f") -> Part:
    return Part(what=what, figure=figure, bound=bound, errors=errors, spec=spec, relation=AT_MOST)


def above(what: str, figure: Figure, bound: float, *, errors: float = 0.0, spec: str = ".2f") -> Part:
    """Equal figures are not above each other."""
    return Part(what=what, figure=figure, bound=bound, errors=errors, spec=spec, relation=ABOVE)


@dataclass(frozen=True)
class Verdict:
    """A claim, the parts of its criterion, and in a sentence what was measured."""

    claim: str
    parts: Sequence[Part]
    summary: str

    @property
    def passes(self) -> bool:
        """Whether every part holds; without a part nothing does."""
        return bool(self.parts) and all(part.holds for part in self.parts)

    @property
    def word(self) -> str:
        return PASS if self.passes else FAIL

    @property
    def heading(self) -> str:
        """A title that the numbers bear: a claim that fails has the word before it."""
        return f"{self.word}: {self.claim}"

    @property
    def faults(self) -> str:
        """The parts that do not hold."""
        return "; ".join(str(part) for part in self.parts if not part.holds)

    def record(self) -> dict[str, Any]:
        parts = [part.record() for part in self.parts]
        return {"verdict": self.word, "summary": self.summary, "fails": self.faults, "parts": parts}


def recorded(results: Any) -> Any:
    """What a JSON file can hold: figures as their means, standard errors and seeds."""
    if isinstance(results, Figure):
        return results.record()
    if isinstance(results, dict):
        return {str(key): recorded(value) for key, value in results.items()}
    if isinstance(results, list | tuple):
        return [recorded(value) for value in results]
    return _number(results) if isinstance(results, float) else results
