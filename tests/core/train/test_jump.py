"""The sudden convergence is seen where there is one, and nowhere else."""

from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks.jump import JUMPS, OTHERS, STEPS, look, rate, real_curves, with_noise
from benchmarks.machine import RESULTS
from zeroctl_core.train.jump import Jump, JumpDetector

COUNT = 50


@pytest.mark.parametrize("name", real_curves())
def test_the_jump_of_every_recorded_run_is_announced_where_it_is(name):
    steps, scores = real_curves()[name]
    jump, announced = look(steps, scores)
    middle = (scores[0] + max(scores)) / 2
    true = next(step for step, score in zip(steps, scores, strict=True) if score >= middle)
    assert abs(jump.step - true) <= 25 and jump.foot < jump.step <= jump.top <= announced <= 225
    assert jump.before == scores[0] and jump.after > jump.before + 0.4


@pytest.mark.parametrize("name", real_curves())
def test_it_is_announced_with_noise_too(name):
    steps, scores = real_curves()[name]
    random = np.random.default_rng(1)
    assert sum(look(steps, with_noise(scores, 0.02, random)) is not None for _ in range(COUNT)) >= 0.85 * COUNT


@pytest.mark.parametrize("name", JUMPS)
def test_a_sudden_rise_is_announced(name):
    assert rate(JUMPS[name], COUNT, 1) >= 0.7


@pytest.mark.parametrize("name", OTHERS)
def test_nothing_else_is_but_by_a_rare_chance(name):
    assert rate(OTHERS[name], COUNT, 1) <= (0 if name.endswith("noise 0") else 0.06)


def test_the_recorded_rates_are_low_and_high():
    record = json.loads((RESULTS / "jump.json").read_text())
    assert record["count"] == 1000 and set(record["others"]) == set(OTHERS) and set(record["jumps"]) == set(JUMPS)
    assert max(record["others"].values()) <= 0.03 and min(record["jumps"].values()) >= 0.7
    assert set(record["real"]) == set(real_curves())
    for row in record["real"].values():
        assert row["jump"] is not None and row["rate_with_noise_.02"] >= 0.85


def test_two_bad_scores_in_a_row_do_not_make_a_steady_rise_late():
    steady = 0.2 + 0.6 * STEPS / STEPS[-1]
    for place in range(1, len(STEPS) - 1):
        scores = steady.copy()
        scores[place : place + 2] = 0.1
        assert look(STEPS, scores) is None


def test_it_is_announced_once_grows_to_the_whole_rise_and_reads_as_a_sentence():
    detector = JumpDetector()
    scores = [0.21, 0.20, 0.22, 0.21, 0.22, 0.74, 0.75, 0.80, 0.81]
    jumps = [detector.add(25 * place, score) for place, score in enumerate(scores)]
    assert [place for place, jump in enumerate(jumps) if jump] == [7]  # three scores agree
    assert jumps[7] == Jump(step=125, before=0.21, after=0.75, foot=100, top=125)
    assert detector.jump == Jump(step=125, before=0.21, after=0.80, foot=100, top=125) and not detector.is_over
    assert str(jumps[7]) == (
        "sudden convergence at step 125: the score went from 0.21 to 0.75, for the most part between steps 100 and 125"
    )


def test_a_rise_that_is_recognised_on_its_way_is_whole_once_three_scores_have_not_raised_it():
    detector = JumpDetector()
    rise = [0.0, 0.0, 0.01, 0.0, 0.0, 0.46, 0.48, 0.50, 0.70, 0.84, 0.86, 0.87]
    afters = []
    for place, score in enumerate([*rise, 0.86, 0.85, 0.86, 0.99, 0.99, 0.99]):
        detector.add(10 * place, score)
        afters.append((detector.jump.after if detector.jump else None, detector.is_over))
    assert afters[7] == (0.48, False) and afters[11] == (0.86, False)
    assert afters[13] == (0.86, False) and afters[14] == afters[-1] == (0.86, True)
    assert detector.jump.before == 0 and detector.jump.foot == 40


def test_a_slow_rise_after_a_jump_is_no_part_of_it():
    detector = JumpDetector()
    scores = [0.0, 0.0, 0.0, 0.0, 0.0, 0.50, 0.50, 0.50] + [0.5 + 0.02 * place for place in range(1, 24)]
    for place, score in enumerate(scores):
        detector.add(10 * place, score)
    assert detector.jump.after < 0.8 and detector.jump.top <= 0.5 * 10 * len(scores)


def test_scores_must_come_in_order_and_finite():
    detector = JumpDetector()
    detector.add(5, 0.1)
    with pytest.raises(ValueError, match="step 5 was given after that of step 5"):
        detector.add(5, 0.1)
    with pytest.raises(ValueError, match="score of step 6 is nan"):
        detector.add(6, float("nan"))
