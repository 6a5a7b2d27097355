"""Steps of a run: parts of a longer run, levels that rise or repeat, and what a schedule counts of them."""

from __future__ import annotations

import pytest

from zeroctl_core import Schedule
from zeroctl_core.control.steps import Steps
from zeroctl_core.network.noise_levels import sd_percent_to_sigma, sd_sigma

N = 10
WHOLE = [sd_sigma(999.0 * (N - i) / N) for i in range(N)] + [0.0]
SCHEDULES = [
    Schedule(0.0, 0.5, "steps"),
    Schedule(0.3, 0.7, "steps"),
    Schedule(0.0, 0.5, "steps_diffusers"),
    Schedule(0.3, 0.7, "steps_diffusers"),
    Schedule(unit="steps", curve="1@0, 0@0.5"),
]


def strengths(schedule: Schedule, steps: Steps) -> list[float]:
    """At the start of every step."""
    strength = schedule.bind(sd_percent_to_sigma, steps)
    return [strength(sigma) for sigma in steps.sigmas[:-1]]


@pytest.mark.parametrize("schedule", SCHEDULES, ids=str)
@pytest.mark.parametrize("cuts", [(0, 5, 10), tuple(range(11)), (0, 1, 7, 10)], ids=["two", "ten", "three"])
def test_parts_that_know_their_place_equal_the_whole(schedule, cuts) -> None:
    parts: list[float] = []
    for start, end in zip(cuts, cuts[1:], strict=False):
        parts += strengths(schedule, Steps(WHOLE[start : end + 1], total=N, before=start))
    assert parts == strengths(schedule, Steps(WHOLE))


@pytest.mark.parametrize("schedule", SCHEDULES, ids=str)
def test_the_first_and_the_last_part_are_known_by_their_ends(schedule) -> None:
    from dataclasses import replace

    total = replace(schedule, steps=N)
    parts = strengths(total, Steps(WHOLE[:5])) + strengths(total, Steps(WHOLE[4:]))
    assert parts == strengths(schedule, Steps(WHOLE))


def test_a_part_between_two_others_counts_its_own_steps() -> None:
    inner = Schedule(0.0, 0.5, "steps", steps=N)
    assert inner.steps_of(sd_percent_to_sigma, WHOLE[3:8]).before is None
    assert inner.active_steps(sd_percent_to_sigma, WHOLE[3:8]) == [0, 1, 2]


def test_a_total_below_the_part_is_refused() -> None:
    with pytest.raises(ValueError, match="4 steps by its settings, this part of it 10"):
        Schedule(0.0, 0.5, "steps", steps=4).bind(sd_percent_to_sigma, WHOLE)
    with pytest.raises(ValueError, match="12 steps by its settings, this part of it 10, after 3 earlier ones"):
        Steps(WHOLE, total=12, before=3)
    with pytest.raises(ValueError, match="steps is -1"):
        Schedule(steps=-1)


@pytest.mark.parametrize("unit", ["timestep", "sigma"])
def test_a_total_matters_in_units_of_steps_alone(unit) -> None:
    assert Schedule(unit=unit, steps=3).bind(sd_percent_to_sigma, WHOLE)(5.0) == 1.0


@pytest.mark.parametrize(
    "levels",
    [[0.03, 0.5, 2.0, 8.0, 14.0], [14.0, 14.0, 5.0, 5.0, 0.0], [14.0, 3.0, 9.0, 1.0, 0.0]],
    ids=["rising", "repeated", "up and down"],
)
def test_the_order_of_calls_says_the_step_where_levels_do_not_fall(levels) -> None:
    """A step is reported after its first evaluation; a second one, between its two levels, is of the same step."""
    steps = Steps(levels)
    assert steps.by_order
    met = []
    for i, (first, second) in enumerate(zip(levels, levels[1:], strict=False)):
        met.append(steps.at(first))
        steps.reported.n = i + 1
        if first != second:
            assert steps.at((first + second) / 2) == i
    assert met == [0, 1, 2, 3]
    assert Schedule(0.5, 1.0, "steps").active_steps(sd_percent_to_sigma, steps) == [2, 3]


def test_levels_raised_before_a_step_are_of_that_step() -> None:
    steps = Steps([14.0, 8.0, 2.0, 0.0], churn=True)
    assert steps.at(15.5) == 0
    steps.reported.n = 1
    assert steps.at(10.0) == 1
    assert Steps([14.0, 8.0, 2.0, 0.0]).at(10.0) == 0
