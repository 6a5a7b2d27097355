"""When a control acts during sampling, and how strongly."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, get_args

from ..files.key_faults import short
from .curve import INTERPOLATIONS, Curve, Interpolation
from .steps import Steps, float32

if TYPE_CHECKING:
    from torch import Tensor

Unit = Literal["timestep", "steps", "steps_diffusers", "sigma"]

UNITS: tuple[Unit, ...] = get_args(Unit)

STEP_UNITS: tuple[Unit, ...] = ("steps", "steps_diffusers")

N_HALVINGS = 40  # the share of the timesteps is computed to 1e-12, far below the distance of two float32 sigmas


class _EndOfRun(float):
    """An `end` that nobody gave: in another unit, by `dataclasses.replace`, it is another number."""


@dataclass(frozen=True)
class Schedule:
    """A window, and within it a curve of strength. By default it is open throughout, in every unit.

    `start` and `end` are counted in `unit`; both ends belong to the window. Without an `end` it is the run's: 0 in the
    unit `sigma`, where noise falls to 0, and 1 in the others.
      `timestep`         share of the training timesteps, 0..1, as ComfyUI counts start and end percent
      `steps`            share i / N of the run's steps, as sd-webui-controlnet (A1111) counts
      `steps_diffusers`  the whole step lies within: i / N >= start and (i + 1) / N <= end, as diffusers counts
      `sigma`            noise level: `start` is the upper bound (0: none), `end` the lower

    `curve` is empty or `value@position, ...` with positions in the same unit (see `Curve.parse`); its value is
    multiplied by the window, and where it is 0 the control is off.

    `steps` is N of the units that count steps, for a run that is sampled in parts: that of all parts together. 0: the
    steps of the run at hand.

    Raises `ValueError` for an unknown unit or interpolation, for a negative number of steps, for bounds out of range or
    the wrong way round, and for a curve that cannot be read.
    """

    start: float = 0.0
    end: float = None  # type: ignore[assignment]  # a number after construction, by the unit
    unit: Unit = "timestep"
    curve: str = ""
    interpolation: Interpolation = "linear"
    _: KW_ONLY
    steps: int = 0

    def __post_init__(self) -> None:
        if self.unit not in UNITS:
            raise ValueError(f"schedule unit {short(repr(self.unit))} is not known; use one of {', '.join(UNITS)}")
        if self.interpolation not in INTERPOLATIONS:
            raise ValueError(
                f"interpolation {short(repr(self.interpolation))} is not known; use one of {', '.join(INTERPOLATIONS)}"
            )
        if self.steps < 0:
            raise ValueError(
                f"schedule steps is {self.steps}; give the steps of the whole run, or 0 for the run at hand"
            )
        if self.end is None or isinstance(self.end, _EndOfRun):
            object.__setattr__(self, "end", _EndOfRun(self._end_of_run))
        for name, bound in (("start", self.start), ("end", self.end)):
            if not (math.isfinite(bound) and 0.0 <= bound <= self._highest):
                span = "0 or more" if self.unit == "sigma" else "in 0..1"
                raise ValueError(f"schedule {name} is {bound}; in the unit {self.unit} it must be {span}")
        if self.unit == "sigma":
            if 0.0 < self.start < self.end:
                raise ValueError(
                    f"schedule start {self.start} is below end {self.end}: sigma falls during sampling; "
                    "give start (the upper bound) the larger number, or 0 for no bound"
                )
        elif self.start > self.end:
            raise ValueError(f"schedule start {self.start} is after end {self.end}; exchange them")
        self._parsed_curve()

    def __str__(self) -> str:
        """In words: `0 to 0.5 in timestep`; a long curve is cut."""
        curve = f", curve {short(self.curve.strip())} ({self.interpolation})" if self.curve.strip() else ""
        start = "the start" if self.unit == "sigma" and self.start == 0.0 else f"{self.start:g}"
        whole = f" of {self.steps}" if self.steps and self.counts_steps else ""
        return f"{start} to {self.end:g} in {self.unit}{whole}{curve}"

    @property
    def counts_steps(self) -> bool:
        """Whether `start`, `end` and the curve count the steps of a run."""
        return self.unit in STEP_UNITS

    @property
    def of_one_run(self) -> Schedule:
        """The same for a run that is not sampled in parts."""
        return replace(self, steps=0)

    @property
    def _end_of_run(self) -> float:
        return 0.0 if self.unit == "sigma" else 1.0

    @property
    def _highest(self) -> float:
        return math.inf if self.unit == "sigma" else 1.0

    def _parsed_curve(self) -> Curve | None:
        if not self.curve.strip():
            return None
        descending = self.unit == "sigma"
        return Curve.parse(self.curve, self.interpolation, descending=descending, highest=self._highest)

    @property
    def open_throughout(self) -> bool:
        """Whether the strength is 1 at every noise level of every run.

        Not of the unit `steps_diffusers`: there an evaluation at the end of a run belongs to no whole step.
        """
        whole = self.start == 0.0 and self.end == self._end_of_run
        return whole and not self.curve.strip() and self.unit != "steps_diffusers"

    @property
    def closed_throughout(self) -> bool:
        """Whether the curve is 0 throughout the window: the strength is 0 at every noise level of every run."""
        curve = self._parsed_curve()
        if curve is None:
            return False
        low, high = sorted((self.start, self.end))
        if self.unit == "sigma" and self.start == 0.0:  # no upper bound
            low, high = self.end, math.inf
        inside = [position for position in curve.positions if low <= position <= high]
        return not any(curve(position) for position in (low, *inside, high))

    def bind(
        self, percent_to_sigma: Callable[[float], float], sigmas: Sequence[float] | Tensor | Steps
    ) -> Callable[[float], float]:
        """For one sampling run: a function from the current sigma to the strength, 0 where the window is closed.

        `percent_to_sigma` is the model's; `sigmas` are the run's N + 1 noise levels, from the first step to the end, or
        its `Steps`, which know more of it.

        Raises `ValueError` where the run has more steps than the whole of which it is a part.
        """
        if self.open_throughout:
            return lambda sigma: 1.0
        run = self.steps_of(percent_to_sigma, sigmas)
        is_open = self._window(percent_to_sigma, run)
        curve = self._parsed_curve()
        if curve is None:
            return lambda sigma: float(is_open(float32(sigma)))
        position = self._position(percent_to_sigma, run, curve)
        return lambda sigma: curve(position(float32(sigma))) if is_open(float32(sigma)) else 0.0

    def steps_of(self, percent_to_sigma: Callable[[float], float], sigmas: Sequence[float] | Tensor | Steps) -> Steps:
        """The steps of a run as this schedule counts them."""
        run = sigmas if isinstance(sigmas, Steps) else Steps(sigmas)
        if not (self.steps and self.counts_steps):
            return run
        # at 0 stands a sentinel; this near to it lies the highest noise level
        return run.within(self.steps, percent_to_sigma(1.0 / 2**N_HALVINGS))

    def active_steps(
        self, percent_to_sigma: Callable[[float], float], sigmas: Sequence[float] | Tensor | Steps
    ) -> list[int]:
        """The steps of a run, counted from 0, at whose start the strength is not 0."""
        run = (sigmas if isinstance(sigmas, Steps) else Steps(sigmas)).anew()
        strength = self.bind(percent_to_sigma, run)
        active = []
        for step, sigma in enumerate(run.sigmas[:-1]):
            run.reported.n = step
            if strength(sigma) != 0.0:
                active.append(step)
        return active

    def _window(self, percent_to_sigma: Callable[[float], float], run: Steps) -> Callable[[float], bool]:
        if self.unit == "steps":
            return lambda sigma: self.start <= run.share(sigma) <= self.end
        if self.unit == "steps_diffusers":
            return lambda sigma: run.share(sigma) >= self.start and run.share(sigma, end=True) <= self.end
        if self.unit == "timestep":
            # percent 0 has a sentinel (999999999.9, or 1.0 on flow models): good for this comparison, for nothing else
            upper, lower = float32(percent_to_sigma(self.start)), float32(percent_to_sigma(self.end))
        else:
            upper, lower = (float32(self.start) if self.start > 0.0 else math.inf), float32(self.end)
        return lambda sigma: lower <= sigma <= upper

    def _position(
        self, percent_to_sigma: Callable[[float], float], run: Steps, curve: Curve
    ) -> Callable[[float], float]:
        """From a sigma to the place on the curve, in this schedule's unit."""
        if self.unit == "sigma":
            return lambda sigma: sigma
        if self.unit != "timestep":
            return run.share
        # a sigma that belongs to a point of the curve gets exactly this point: halving comes near it only
        points = {float32(percent_to_sigma(percent)): percent for percent in curve.positions}

        @lru_cache(maxsize=4)  # every unit, chunk and second evaluation of a step asks for the same sigma
        def percent(sigma: float) -> float:
            return points[sigma] if sigma in points else _percent(percent_to_sigma, sigma)

        return percent


def _percent(percent_to_sigma: Callable[[float], float], sigma: float) -> float:
    """The share of the timesteps at which the model has this sigma, by halving; percent_to_sigma falls.

    The ends are never evaluated: at 0 stands a sentinel. A sigma above the model's highest is at 0.
    """
    low, high = 0.0, 1.0
    for _ in range(N_HALVINGS):
        middle = (low + high) / 2.0
        if float32(percent_to_sigma(middle)) > sigma:
            low = middle
        else:
            high = middle
    return high if low > 0.0 else 0.0
