"""Schedules: which steps of a run are active in each unit, curves, and bounds that are refused.

The table of active steps is that of ComfyUI, sd-webui-controlnet and diffusers, each on SD's noise levels at 20 steps.
"""

from __future__ import annotations

import dataclasses
import itertools
import math

import pytest
import torch

from zeroctl_core import Schedule
from zeroctl_core.control.curve import Curve
from zeroctl_core.control.schedule import UNITS
from zeroctl_core.network.noise_levels import NO_BOUND, sd_percent_to_sigma, sd_sigma, sd_sigmas

STEPS = 20
ENDS = (0.2, 0.35, 0.5, 0.65, 0.8)


def sampled(levels: list[float]) -> list[float]:
    """As a sampler holds them: float32."""
    return torch.tensor(levels, dtype=torch.float32).tolist()


def normal(n: int) -> list[float]:
    """Equal distances in timestep, both ends included."""
    return sampled([sd_sigma(999.0 * (n - 1 - i) / (n - 1)) for i in range(n)] + [0.0])


def sgm_uniform(n: int) -> list[float]:
    """Equal distances in timestep, without the last."""
    return sampled([sd_sigma(999.0 * (n - i) / n) for i in range(n)] + [0.0])


def simple(n: int) -> list[float]:
    """Every len / n-th of the training levels, from the noisiest."""
    return sampled([sd_sigmas()[999 - int(i * 1000 / n)] for i in range(n)] + [0.0])


def ddim_uniform(n: int) -> list[float]:
    """Timesteps 1, 1 + 1000 / n, ... backwards (DDIM, arXiv 2010.02502, appendix D)."""
    return sampled([sd_sigmas()[t] for t in range(1, 1000, 1000 // n)][::-1] + [0.0])


def karras(n: int, rho: float = 7.0) -> list[float]:
    """Equal distances in sigma^(1 / 7) (EDM, arXiv 2206.00364, Eq. 5)."""
    high, low = sd_sigmas()[-1] ** (1 / rho), sd_sigmas()[0] ** (1 / rho)
    return sampled([(high + i / (n - 1) * (low - high)) ** rho for i in range(n)] + [0.0])


def exponential(n: int) -> list[float]:
    """Equal distances in log sigma."""
    high, low = math.log(sd_sigmas()[-1]), math.log(sd_sigmas()[0])
    return sampled([math.exp(high + i / (n - 1) * (low - high)) for i in range(n)] + [0.0])


def beta(n: int, alpha: float = 0.6) -> list[float]:
    """Timesteps at the quantiles of Beta(0.6, 0.6) (arXiv 2407.12173)."""
    stats = pytest.importorskip("scipy.stats", reason="the beta scheduler needs scipy's quantiles")
    quantiles = stats.beta.ppf([1.0 - i / n for i in range(n)], alpha, alpha)
    return sampled([sd_sigmas()[round(float(q) * 999)] for q in quantiles] + [0.0])


def kl_optimal(n: int) -> list[float]:
    """Equal distances in the angle atan(sigma) (Align Your Steps, arXiv 2404.14507, Theorem 3.1)."""
    high, low = math.atan(sd_sigmas()[-1]), math.atan(sd_sigmas()[0])
    return sampled([math.tan(high + i / (n - 1) * (low - high)) for i in range(n)] + [0.0])


def linear_quadratic(n: int, threshold: float = 0.025) -> list[float]:
    """A line to 0.025 over half of the steps, then a parabola with the same slope that ends at 1 (Movie Gen)."""
    linear = n // 2
    slope, rest = threshold / linear, n - linear
    bend = (1.0 - threshold - slope * rest) / rest**2
    shares = [
        slope * i if i < linear else threshold + slope * (i - linear) + bend * (i - linear) ** 2 for i in range(n)
    ]
    return sampled([sd_sigmas()[-1] * (1.0 - share) for share in shares] + [0.0])


HOST_TABLE = [
    (normal, (4, 7, 10, 13, 16)),
    (simple, (4, 7, 10, 13, 16)),
    (ddim_uniform, (4, 7, 10, 13, 16)),
    (sgm_uniform, (5, 8, 11, 14, 17)),
    (karras, (5, 7, 9, 11, 12)),
    (exponential, (4, 6, 7, 9, 10)),
    (beta, (6, 8, 11, 13, 15)),
    (kl_optimal, (2, 4, 7, 10, 13)),
    (linear_quadratic, (18, 19, 20, 20, 20)),
]


@pytest.mark.parametrize(("scheduler", "expected"), HOST_TABLE, ids=lambda p: getattr(p, "__name__", None))
def test_timestep_unit_has_the_hosts_active_steps(scheduler, expected):
    sigmas = scheduler(STEPS)
    assert len(sigmas) == STEPS + 1
    for end, n in zip(ENDS, expected, strict=True):
        assert Schedule(end=end).active_steps(sd_percent_to_sigma, sigmas) == list(range(n)), end


@pytest.mark.parametrize("scheduler", [normal, karras, exponential, linear_quadratic])
def test_step_units_do_not_depend_on_the_scheduler(scheduler):
    """A1111 keeps a step while i / N <= end, diffusers while (i + 1) / N <= end."""
    sigmas = scheduler(STEPS)
    for end, a1111, diffusers in zip(ENDS, (5, 8, 11, 14, 17), (4, 7, 10, 13, 16), strict=True):
        assert Schedule(end=end, unit="steps").active_steps(sd_percent_to_sigma, sigmas) == list(range(a1111))
        steps = Schedule(end=end, unit="steps_diffusers").active_steps(sd_percent_to_sigma, sigmas)
        assert steps == list(range(diffusers))


def test_step_units_agree_with_the_peers_conditions_for_every_window():
    sigmas = karras(STEPS)
    for start, end in itertools.combinations([i / 20 for i in range(21)], 2):
        a1111 = [i for i in range(STEPS) if not (i / STEPS < start or i / STEPS > end)]
        diffusers = [i for i in range(STEPS) if not (i / STEPS < start or (i + 1) / STEPS > end)]
        assert Schedule(start, end, "steps").active_steps(sd_percent_to_sigma, sigmas) == a1111
        assert Schedule(start, end, "steps_diffusers").active_steps(sd_percent_to_sigma, sigmas) == diffusers


def test_both_ends_of_a_timestep_window_are_inclusive_in_float32():
    """The host compares a float32 sigma with a Python float, which torch rounds to float32 first."""
    start, end = sd_percent_to_sigma(0.2), sd_percent_to_sigma(0.5)
    sigmas = [14.0, start, 2.0, end, 0.0]
    strength = Schedule(0.2, 0.5).bind(sd_percent_to_sigma, sigmas)
    for bound in (start, end):
        on_the_bound = torch.tensor([bound])
        assert not (on_the_bound[0] > start or on_the_bound[0] < end), "the host is open here"
        assert strength(on_the_bound[0].item()) == 1.0
    ulp = torch.finfo(torch.float32).eps
    assert strength(start * (1 + 2 * ulp)) == 0.0 and strength(end * (1 - 2 * ulp)) == 0.0


def test_percent_0_is_open_above_every_sigma_and_percent_1_down_to_0():
    from_the_start = Schedule(0.0, 0.5).bind(sd_percent_to_sigma, normal(STEPS))
    to_the_end = Schedule(0.5, 1.0).bind(sd_percent_to_sigma, normal(STEPS))
    assert from_the_start(NO_BOUND / 2) == from_the_start(14.6146) == to_the_end(0.0) == 1.0
    assert from_the_start(0.0) == to_the_end(14.6146) == 0.0


@pytest.mark.parametrize("unit", UNITS)
def test_every_unit_is_open_throughout_by_default(unit):
    sigmas = normal(STEPS)
    assert Schedule(unit=unit).active_steps(sd_percent_to_sigma, sigmas) == list(range(STEPS))
    assert Schedule(unit=unit) == Schedule(0.0, 0.0 if unit == "sigma" else 1.0, unit)
    assert hash(Schedule(unit=unit)) == hash(Schedule(end=Schedule(unit=unit).end, unit=unit))


def test_an_end_in_sigma_that_is_given_keeps_its_meaning():
    assert Schedule(0.0, 1.0, "sigma").end == Schedule(unit="sigma", end=1.0).end == 1.0
    assert Schedule(unit="sigma", end=1.0).active_steps(sd_percent_to_sigma, [14.0, 2.0, 0.5, 0.0]) == [0, 1]
    assert dataclasses.replace(Schedule(0.0, 1.0), unit="sigma").end == 1.0, "the number that it had"


@pytest.mark.parametrize(("before", "after"), list(itertools.permutations(UNITS, 2)))
def test_an_end_that_nobody_gave_is_the_runs_in_another_unit(before, after):
    changed = dataclasses.replace(Schedule(unit=before), unit=after)
    assert changed == Schedule(unit=after) and changed.end == (0.0 if after == "sigma" else 1.0)
    assert dataclasses.replace(changed, unit=before) == Schedule(unit=before)
    later = dataclasses.replace(changed, start=0.5, curve="1@0.5" if after != "sigma" else "1@1")
    assert later.end == changed.end and str(later.end) in ("0.0", "1.0")


def test_the_words_of_a_schedule_are_short():
    long = ", ".join(f"1@{place / 10**6}" for place in range(10**5))
    assert len(str(Schedule(curve=long))) < 200
    with pytest.raises(ValueError, match="is not known") as caught:
        Schedule(unit="x" * 10**7)
    assert len(str(caught.value)) < 300
    with pytest.raises(ValueError, match="is not known") as caught:
        Schedule(interpolation="x" * 10**7)
    assert len(str(caught.value)) < 300


def test_a_schedule_that_is_open_throughout_is_1_at_every_sigma_of_every_model():
    for schedule in (Schedule(), Schedule(unit="steps"), Schedule(0.0, 0.0, "sigma")):
        assert schedule.open_throughout
        for percent_to_sigma in (sd_percent_to_sigma, flow):
            strength = schedule.bind(percent_to_sigma, [])
            assert strength(1e9) == strength(1.5) == strength(0.0) == 1.0
    # an evaluation at the last sigma of a run that ends above 0 (Heun) lies in no whole step
    assert Schedule(unit="steps_diffusers").bind(sd_percent_to_sigma, [10.0, 5.0])(5.0) == 0.0
    assert not Schedule(unit="steps_diffusers").open_throughout


def flow(percent: float) -> float:
    """percent_to_sigma of a flow model with shift 3: the sentinel at 0 is 1.0, the noise level itself."""
    if percent <= 0.0:
        return 1.0
    if percent >= 1.0:
        return 0.0
    t = 1.0 - percent
    return 3.0 * t / (1.0 + 2.0 * t)


def test_flow_models_are_scheduled_by_their_own_percent():
    sigmas = sampled([flow(i / STEPS) for i in range(STEPS + 1)])
    assert Schedule(0.0, 0.5).active_steps(flow, sigmas) == list(range(11))
    assert Schedule(0.25, 0.5).active_steps(flow, sigmas) == list(range(5, 11))
    strengths = bound_at(Schedule(curve="1@0, 0@1"), flow, sigmas)
    assert strengths == pytest.approx([1.0 - i / STEPS for i in range(STEPS + 1)], abs=1e-6)
    assert strengths[0] == 1.0 and strengths[-1] == 0.0


def bound_at(schedule: Schedule, percent_to_sigma, sigmas: list[float]) -> list[float]:
    strength = schedule.bind(percent_to_sigma, sigmas)
    return [strength(sigma) for sigma in sigmas]


def test_sigma_unit_has_an_upper_and_a_lower_bound():
    sigmas = [14.0, 10.0, 5.0, 1.0, 0.1, 0.0]
    assert Schedule(10.0, 1.0, "sigma").active_steps(sd_percent_to_sigma, sigmas) == [1, 2, 3]
    assert Schedule(0.0, 1.0, "sigma").active_steps(sd_percent_to_sigma, sigmas) == [0, 1, 2, 3], (
        "0 is not an upper bound"
    )
    assert Schedule(5.0, 0.0, "sigma").active_steps(sd_percent_to_sigma, sigmas) == [2, 3, 4]
    assert Schedule(0.1, 0.1, "sigma").active_steps(sd_percent_to_sigma, sampled(sigmas)) == [4], "float32 0.1 is 0.1"


def test_an_evaluation_between_two_sigmas_belongs_to_the_earlier_step():
    """dpm_2 evaluates between sigma_i and sigma_i+1, heun a second time at sigma_i+1, churn above the first sigma."""
    sigmas = [8.0, 4.0, 2.0, 1.0, 0.0]
    first = Schedule(0.0, 0.0, "steps").bind(sd_percent_to_sigma, sigmas)
    assert [first(sigma) for sigma in (9.0, 8.0, 5.0, 4.0)] == [1.0, 1.0, 1.0, 0.0]
    second = Schedule(0.25, 0.25, "steps").bind(sd_percent_to_sigma, sigmas)
    assert [second(sigma) for sigma in (5.0, 4.0, 2.1, 2.0)] == [0.0, 1.0, 1.0, 0.0]


def test_a_run_that_starts_late_counts_its_own_steps():
    """Denoise below 1 gives a part of the sigmas: steps count in the run, timesteps in the training schedule."""
    late = normal(STEPS)[10:]
    assert Schedule(end=0.5).active_steps(sd_percent_to_sigma, late) == []
    assert Schedule(end=0.5, unit="steps").active_steps(sd_percent_to_sigma, late) == [0, 1, 2, 3, 4, 5]


def test_sigmas_may_be_a_tensor():
    sigmas = torch.tensor(karras(STEPS))
    for unit in ("timestep", "steps"):
        schedule = Schedule(end=0.5, unit=unit, curve="1@0, 0.5@1")
        assert schedule.active_steps(sd_percent_to_sigma, sigmas) == schedule.active_steps(
            sd_percent_to_sigma, sigmas.tolist()
        )


def test_a_run_without_steps_can_be_bound():
    for unit in ("timestep", "steps", "steps_diffusers", "sigma"):
        assert Schedule(unit=unit).active_steps(sd_percent_to_sigma, [1.0]) == []


def test_a_curve_is_linear_between_its_points_and_constant_beyond():
    curve = Curve.parse("1@0.2, 0.5@0.6, -1@0.8", "linear", descending=False, highest=1.0)
    positions = [0.0, 0.2, 0.4, 0.6, 0.7, 0.8, 1.0]
    assert [curve(p) for p in positions] == pytest.approx([1.0, 1.0, 0.75, 0.5, -0.25, -1.0, -1.0])


def test_a_cosine_curve_starts_and_ends_flat():
    curve = Curve.parse("1@0, 0@1", "cosine", descending=False, highest=1.0)
    assert [curve(p) for p in (0.0, 0.25, 0.5, 0.75, 1.0)] == pytest.approx(
        [1.0, 0.5 + math.sqrt(0.125), 0.5, 0.5 - math.sqrt(0.125), 0.0]
    )
    assert 1.0 - curve(0.01) < 3e-4


def test_a_timestep_curve_is_read_at_the_percent_of_the_sigma():
    strength = Schedule(curve="1@0, 0.6@0.5, 0@0.8").bind(sd_percent_to_sigma, normal(STEPS))
    for percent, expected in ((0.25, 0.8), (0.4, 0.68), (0.65, 0.3), (0.9, 0.0)):
        sigma = torch.tensor(sd_percent_to_sigma(percent)).item()
        assert strength(sigma) == pytest.approx(expected, abs=1e-5)


def test_a_point_of_a_timestep_curve_is_met_exactly():
    """Where a curve reaches 0 no network may run, so the value there must be 0 and not nearly 0."""
    strength = Schedule(curve="0@0.2, 1@0.4, 0@0.8").bind(sd_percent_to_sigma, normal(STEPS))
    at = {p: strength(torch.tensor(sd_percent_to_sigma(p)).item()) for p in (0.2, 0.4, 0.8)}
    assert at == {0.2: 0.0, 0.4: 1.0, 0.8: 0.0}


def test_the_sentinel_of_percent_0_is_never_interpolated_with():
    strength = Schedule(curve="1@0, 0@1").bind(sd_percent_to_sigma, normal(STEPS))
    assert strength(sd_sigmas()[-1]) == 1.0, "the noisiest level is at 0 percent"
    assert strength(1000.0) == 1.0, "and so is everything above it"
    assert strength(sd_percent_to_sigma(1e-3)) == pytest.approx(0.999, abs=1e-5)


def test_a_step_curve_is_read_at_i_over_n():
    sigmas = karras(4)
    for unit in ("steps", "steps_diffusers"):
        strengths = bound_at(Schedule(unit=unit, curve="1@0, 0@1"), sd_percent_to_sigma, sigmas)
        assert strengths[:4] == pytest.approx([1.0, 0.75, 0.5, 0.25])


def test_a_sigma_curve_falls_in_position():
    sigmas = [14.0, 10.0, 6.0, 2.0, 0.0]
    schedule = Schedule(0.0, 0.0, "sigma", curve="1@10, 0.5@2")
    assert bound_at(schedule, sd_percent_to_sigma, sigmas) == pytest.approx([1.0, 1.0, 0.75, 0.5, 0.5])


def test_the_window_closes_the_curve():
    sigmas = karras(4)
    schedule = Schedule(0.25, 0.5, "steps", curve="-2@0, 2@1")
    assert bound_at(schedule, sd_percent_to_sigma, sigmas) == pytest.approx([0.0, -1.0, 0.0, 0.0, 0.0])
    assert schedule.active_steps(sd_percent_to_sigma, sigmas) == [1], "at step 2 the curve itself is 0"


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"start": 0.6, "end": 0.5}, r"start 0.6 is after end 0.5; exchange them"),
        ({"start": 0.6, "end": 0.5, "unit": "steps"}, r"start 0.6 is after end 0.5"),
        ({"start": 1.0, "end": 2.0, "unit": "sigma"}, r"start 1.0 is below end 2.0: sigma falls during sampling"),
        ({"start": -0.1}, r"start is -0.1; in the unit timestep it must be in 0..1"),
        ({"end": 1.5, "unit": "steps"}, r"end is 1.5; in the unit steps it must be in 0..1"),
        ({"end": -1.0, "unit": "sigma"}, r"end is -1.0; in the unit sigma it must be 0 or more"),
        ({"start": math.nan}, r"start is nan"),
        ({"end": math.inf, "unit": "sigma"}, r"end is inf"),
        ({"unit": "percent"}, r"unit 'percent' is not known; use one of timestep, steps, steps_diffusers, sigma"),
        ({"interpolation": "cubic"}, r"interpolation 'cubic' is not known; use one of linear, cosine"),
        ({"curve": "1@0, 0.5"}, r"'0.5' is not a point; write value@position"),
        ({"curve": "1@0,, 0@1"}, r"an empty entry is not a point"),
        ({"curve": "1@0, high@1"}, r"'high@1' is not a point"),
        ({"curve": "1@0@1"}, r"'1@0@1' is not a point"),
        ({"curve": "1@0, nan@1"}, r"'nan@1' is not finite"),
        ({"curve": "1@0, 1@inf"}, r"'1@inf' is not finite"),
        ({"curve": "1@0, 0.5@0"}, r"two points are at 0; give every position one value"),
        ({"curve": "1@0.5, 0.5@0.2"}, r"at 0.2 follows the one at 0.5; write .* with rising positions"),
        ({"curve": "1@2, 0.5@5", "unit": "sigma"}, r"at 5 follows the one at 2; write .* with falling positions"),
        ({"curve": "1@0, 0@1.2"}, r"'0@1.2' is at 1.2; positions are 0 to 1"),
        ({"curve": "1@-1", "unit": "sigma"}, r"'1@-1' is at -1; positions are 0 or more"),
    ],
)
def test_a_bad_schedule_is_refused_when_it_is_made(kwargs, message):
    with pytest.raises(ValueError, match=message):
        Schedule(**kwargs)


def test_sd_noise_levels_have_their_known_values():
    levels = [sd_percent_to_sigma(p / 10) for p in range(1, 10)]
    assert levels == pytest.approx([8.31, 5.09, 3.33, 2.28, 1.616, 1.163, 0.832, 0.571, 0.344], abs=5e-3)
    assert (sd_sigmas()[0], sd_sigmas()[-1]) == pytest.approx((0.0292, 14.6146), abs=5e-5)
    with pytest.raises(ValueError, match="the timestep is 1000; the schedule has 0 to 999"):
        sd_sigma(1000)


def test_a_schedule_says_itself_in_words():
    assert str(Schedule()) == "0 to 1 in timestep"
    assert str(Schedule(unit="sigma")) == "the start to 0 in sigma"
    assert str(Schedule(0.1, 0.8, "steps", "1@0, 0@0.5", "cosine")) == "0.1 to 0.8 in steps, curve 1@0, 0@0.5 (cosine)"


@pytest.mark.parametrize("text", ["1e38@0", "1e308@0,-1e308@1", "1@0, -1001@1", "9" * 200 + "@0"])
def test_a_value_that_would_overflow_is_refused_in_a_short_message(text):
    with pytest.raises(ValueError, match=r"is too large; write a value from -1000 to 1000") as error:
        Curve.parse(text, "linear", descending=False, highest=1.0)
    assert len(str(error.value)) < 250


def test_text_without_an_end_is_cut_in_the_message():
    for text in ("x" * 10_000_000, "1@" + "9" * 1_000_000 + "x"):
        with pytest.raises(ValueError, match="is not a point") as error:
            Curve.parse(text, "linear", descending=False, highest=1.0)
        assert len(str(error.value)) < 300


@pytest.mark.parametrize(
    ("schedule", "closed"),
    [
        (Schedule(), False),
        (Schedule(0.3, 0.3), False),
        (Schedule(curve="0@0"), True),
        (Schedule(curve="0@0, 0@1", unit="steps"), True),
        (Schedule(curve="0@0, -0.0@0.4, 0@1", interpolation="cosine"), True),
        (Schedule(curve="1@0, 0@0.5"), False),
        (Schedule(0.5, 1.0, curve="1@0, 0@0.5"), True),
        (Schedule(0.0, 0.5, curve="0@0.5, 1@1"), True),
        (Schedule(0.0, 0.6, curve="0@0.5, 1@1"), False),
        (Schedule(0.2, 0.8, curve="0@0.2, 1@0.5, 0@0.8"), False),
        (Schedule(0.0, 0.0, "sigma", curve="0@14, 0@1"), True),
        (Schedule(0.0, 5.0, "sigma", curve="1@14, 0@1"), False),
        (Schedule(1.0, 0.0, "sigma", curve="1@14, 0@1"), True),
    ],
)
def test_a_curve_that_is_0_throughout_its_window_is_known_without_a_run(schedule, closed):
    assert schedule.closed_throughout is closed
    sigmas = [14.6 * (1 - step / 500) for step in range(501)]
    strength = schedule.bind(sd_percent_to_sigma, sigmas)
    if closed:
        assert not any(strength(sigma) for sigma in (*sigmas, 1000.0, 0.0))
