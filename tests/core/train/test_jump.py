"""The sudden convergence is seen where there is one, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest

from zeroctl_core.train.config import ControlConfig
from zeroctl_core.train.jump import Jump, JumpDetector

STEPS = np.array([step for step in range(801) if ControlConfig().is_scored(step)])
RUNS = 100


def look(scores, steps=STEPS) -> tuple[Jump, int] | None:
    """The jump and the step at which it was announced."""
    detector = JumpDetector()
    for step, score in zip(steps, scores, strict=True):
        if jump := detector.add(int(step), float(score)):
            return jump, int(step)
    return None


def noisy(curve: np.ndarray, deviation: float, seed: int) -> np.ndarray:
    return np.clip(curve + np.random.default_rng(seed).normal(0, deviation, len(curve)), 0, 1)


def rise(at: float, width: float, low: float = 0.21, high: float = 0.85) -> np.ndarray:
    return low + (high - low) / (1 + np.exp(-(STEPS - at) / (width / 4)))


@pytest.mark.parametrize(("at", "width"), [(120, 40), (180, 40), (225, 60), (500, 60)])
@pytest.mark.parametrize("deviation", [0.0, 0.02])
def test_a_sudden_rise_is_found_where_it_is(at, width, deviation):
    for seed in range(20):
        result = look(noisy(rise(at, width), deviation, seed))
        assert result is not None
        jump, announced = result
        assert abs(jump.step - at) <= 75 and jump.foot < jump.step <= jump.top < announced <= at + 225
        assert abs(jump.before - 0.21) < 0.08 and jump.after > jump.before + 0.25


FLAT, SHARE = np.full(len(STEPS), 0.3), STEPS / STEPS[-1]
SLOW = {
    "flat": FLAT,
    "perfect from the start": np.full(len(STEPS), 0.98),
    "drift": 0.2 + 0.6 * SHARE,
    "saturating": 0.2 + 0.6 * (1 - np.exp(-4 * SHARE)),
    "falling": 0.8 - 0.6 * SHARE,
    "a fall": np.where(STEPS < 225, 0.8, 0.2),
    "one good sample set": np.where(STEPS == 225, 0.8, 0.2),
    "a small step": np.where(STEPS < 225, 0.3, 0.4),
}


@pytest.mark.parametrize("name", SLOW)
@pytest.mark.parametrize("deviation", [0.0, 0.01, 0.03])
def test_nothing_is_announced_without_one(name, deviation):
    results = [look(noisy(SLOW[name], deviation, seed)) for seed in range(RUNS if deviation else 1)]
    assert not any(results)


def test_noise_alone_is_hardly_ever_taken_for_one_however_large():
    for deviation in (0.1, 0.2):
        results = [look(noisy(FLAT, deviation, seed)) for seed in range(RUNS)]
        assert sum(map(bool, results)) <= RUNS // 100


def test_one_in_the_first_steps_is_recognised_once_the_run_is_long_beside_it():
    """The scores of an edge control of the embedded model."""
    steps = [0, 50, 75, 100, 125, 150, 175, 200]
    result = look([0.372, 0.369, 0.508, 0.744, 0.858, 0.871, 0.880, 0.887], steps)
    assert result == (Jump(step=100, before=pytest.approx(0.3705), after=0.880, foot=50, top=100), 175)


def test_it_is_announced_once_and_read_as_a_sentence():
    detector = JumpDetector()
    scores = [0.21, 0.20, 0.22, 0.21, 0.22, 0.64, 0.75, 0.80]
    jumps = [detector.add(25 * place, score) for place, score in enumerate(scores)]
    assert [place for place, jump in enumerate(jumps) if jump] == [6]  # the next score has confirmed it
    assert detector.jump is jumps[6]
    assert str(jumps[6]) == (
        "sudden convergence at step 125: the score went from 0.21 to 0.75 between steps 100 and 125"
    )


def test_scores_must_come_in_order_and_finite():
    detector = JumpDetector()
    detector.add(5, 0.1)
    with pytest.raises(ValueError, match="step 5 was given after that of step 5"):
        detector.add(5, 0.1)
    with pytest.raises(ValueError, match="score of step 6 is nan"):
        detector.add(6, float("nan"))
