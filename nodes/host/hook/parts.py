"""A sampling run as a part of the user's run: how its steps are counted, and where else a control may have acted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from zeroctl_core.control.steps import Steps
from zeroctl_core.files.plural import plural

from ..inputs import naming
from ..units import Unit
from .graph import FIRST, Place
from .run import SamplingRun

__all__ = ["acts_elsewhere", "check_steps", "reporting", "steps_of_run"]


def steps_of_run(sigmas: Sequence[float], place: Place, sampler: Any) -> Steps:
    """The steps of a run of a sampler of the host."""
    churn = (getattr(sampler, "extra_options", None) or {}).get("s_churn", 0.0) > 0.0
    return Steps(sigmas, total=place.total, before=place.before if place.total else None, churn=churn)


def reporting(steps: Steps, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of an OUTER_SAMPLE from `denoise_mask` on, with a callback that also counts the steps."""
    callback = kwargs.get("callback", args[1] if len(args) > 1 else None)

    def report(step: int, *values: Any) -> Any:
        steps.reported.n = step + 1
        return None if callback is None else callback(step, *values)

    if "callback" in kwargs or len(args) < 2:
        return args, {**kwargs, "callback": report}
    return (args[0], report, *args[2:]), kwargs


def check_steps(run: SamplingRun, unit: Unit, sampling: Any) -> None:
    """Say at the first and the last part that a window in steps can be counted within this part alone.

    sampling: the MODEL's. Raises `ValueError` where the schedule's number of steps does not hold those of this part.
    """
    schedule = unit.schedule
    if run.steps is None or not schedule.counts_steps:
        return
    with naming(unit.title):
        steps = schedule.steps_of(sampling.percent_to_sigma, run.steps)
    everywhere = schedule.start == 0.0 and schedule.end == 1.0 and not schedule.curve.strip()
    has_place = steps.before is not None if schedule.steps else run.place.by_graph
    # a sampler that runs its steps one by one would say it at every one of them: the first and the last do
    at_an_end = steps.sigmas[-1] == 0.0 or steps.sigmas[0] >= FIRST * float(sampling.sigma_max)
    if everywhere or has_place or not run.place.part or not at_an_end:
        return
    run.say_once(
        "Part of a run",
        f"{unit.title} counts steps, and nobody says which part of your run this is: its window, {schedule}, is "
        f"counted within this part of {plural(steps.n, 'step')}. Sample the parts with KSampler (Advanced), give "
        "ControlNet Schedule the steps of all parts, or count in the unit timestep.",
        node=unit.node,
    )


def acts_elsewhere(run: SamplingRun, unit: Unit, sampling: Any) -> bool:
    """Whether a control that did not act in this run may have its turn in another part of the user's run."""
    place, steps = run.place, run.steps
    if steps is None or not place.part:
        return False
    if steps.sigmas[-1] > 0.0:
        return True  # not the last part
    if len(place.whole) - 1 > steps.n:
        active = unit.schedule.of_one_run.active_steps(sampling.percent_to_sigma, place.whole)
        return any(step < place.before for step in active)
    return place.continues
