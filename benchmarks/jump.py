"""How often the announcement of a sudden convergence is right: 1,000 synthetic curves of each kind, and the curves of
real edge controls, as they are and with noise. Writes `jump.json`.

Times are shares of a run of 450 steps that is scored as a run is by default; "two bad" are two neighbouring scores of
0 to .2 anywhere but at the first step, where no control acts yet.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import RESULTS, ROOT, conditions, print_table, write
from benchmarks.options import read_options
from zeroctl_core.train.config import ControlConfig
from zeroctl_core.train.jump import Jump, JumpDetector

CURVES = ROOT / "tests" / "data" / "jump_curves.json"
RUN = ControlConfig(steps=450)
STEPS = np.array([step for step in range(RUN.steps + 1) if RUN.is_scored(step)])
SHARE = STEPS / RUN.steps
BEFORE = 0.2

Draw = Callable[[np.random.Generator], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Options:
    count: int = 1000
    """curves of each kind"""
    seed: int = 0
    """of the curves"""
    out: Path = RESULTS
    """folder for the record"""


def look(steps: Sequence[int], scores: Sequence[float]) -> tuple[Jump, int] | None:
    """The jump, and the step at which it was announced."""
    detector = JumpDetector()
    for step, score in zip(steps, scores, strict=True):
        if jump := detector.add(int(step), float(score)):
            return jump, int(step)
    return None


def noise(random: np.random.Generator, deviation: float) -> np.ndarray:
    return random.normal(0, deviation, len(STEPS))


def logistic(middle: float, width: float) -> np.ndarray:
    """From 0 to 1; the middle 80 % take `width`."""
    return 1 / (1 + np.exp(-(SHARE - middle) * 2 * math.log(9) / width))


def sudden(random: np.random.Generator, deviation: float) -> np.ndarray:
    middle, width = random.uniform(0.15, 0.4), random.uniform(0.03, 0.1)
    return BEFORE + random.uniform(0.4, 0.7) * logistic(middle, width) + noise(random, deviation)


def slow(random: np.random.Generator, deviation: float) -> np.ndarray:
    middle = random.uniform(0.2, 0.6)
    return BEFORE + 0.6 * logistic(middle, middle * random.uniform(1.5, 2.5)) + noise(random, deviation)


def drift(random: np.random.Generator, deviation: float) -> np.ndarray:
    return BEFORE + random.uniform(0.3, 0.7) * SHARE + noise(random, deviation)


def saturating(random: np.random.Generator, deviation: float) -> np.ndarray:
    rise = 1 - np.exp(-SHARE * random.uniform(1, 10))
    return BEFORE + random.uniform(0.3, 0.7) * rise + noise(random, deviation)


def flat(random: np.random.Generator, deviation: float) -> np.ndarray:
    return random.uniform(0.1, 0.9) + noise(random, deviation)


def two_others(random: np.random.Generator, scores: np.ndarray, low: float, high: float) -> np.ndarray:
    """Two neighbouring scores between low and high in the place of those that are there, not the first."""
    place = random.integers(1, len(scores) - 1)
    scores[place : place + 2] = random.uniform(low, high)
    return scores


JUMPS: dict[str, Draw] = {
    "logistic, middle .22, width .22": lambda random: BEFORE + 0.6 * logistic(0.22, 0.22),
    "the same with noise .02": lambda random: BEFORE + 0.6 * logistic(0.22, 0.22) + noise(random, 0.02),
    "logistic, width .03 to .1, noise .02": lambda random: sudden(random, 0.02),
    "the same with noise .05": lambda random: sudden(random, 0.05),
}
"""Kinds that should be announced."""

OTHERS: dict[str, Draw] = {
    "noise .03": lambda random: flat(random, 0.03),
    "noise .1": lambda random: flat(random, 0.1),
    "noise .2": lambda random: flat(random, 0.2),
    "drift, noise .02": lambda random: drift(random, 0.02),
    "drift, noise .05": lambda random: drift(random, 0.05),
    "exponential rise, noise 0": lambda random: saturating(random, 0.0),
    "exponential rise, noise .02": lambda random: saturating(random, 0.02),
    "exponential rise, noise .05": lambda random: saturating(random, 0.05),
    "logistic, width 1.5 to 2.5 middles, noise 0": lambda random: slow(random, 0.0),
    "logistic, width 1.5 to 2.5 middles, noise .02": lambda random: slow(random, 0.02),
    "two bad among flat": lambda random: two_others(random, flat(random, 0.02), 0, 0.2),
    "two bad in a drift": lambda random: two_others(random, drift(random, 0.02), 0, 0.2),
    "two bad in an exponential rise": lambda random: two_others(random, saturating(random, 0.02), 0, 0.2),
    "two good among flat": lambda random: two_others(random, BEFORE + noise(random, 0.02), 0.6, 0.9),
    "a fall": lambda random: BEFORE + 0.6 * (1 - SHARE) + noise(random, 0.02),
}
"""Kinds that should not."""


def rate(draw: Draw, count: int, seed: int) -> float:
    """The share of curves of a kind in which a jump is announced."""
    random = np.random.default_rng(seed)
    return sum(look(STEPS, draw(random)) is not None for _ in range(count)) / count


def real_curves() -> dict[str, tuple[list[int], list[float]]]:
    """Name of run and score -> its steps and scores."""
    runs: dict[str, dict[str, Any]] = json.loads(CURVES.read_text(encoding="utf-8"))
    return {
        f"{run}: {score}": (curve["steps"], values)
        for run, curve in runs.items()
        for score, values in curve.items()
        if score != "steps"
    }


def with_noise(scores: Sequence[float], deviation: float, random: np.random.Generator) -> np.ndarray:
    """The first score stays: without control every run has the same one."""
    return np.array(scores) + random.normal(0, deviation, len(scores)) * (np.arange(len(scores)) > 0)


def main() -> None:
    options = read_options(Options, "jump", __doc__)
    facts = conditions()
    real = {}
    for name, (steps, scores) in real_curves().items():
        result = look(steps, scores)
        random = np.random.default_rng(options.seed)
        noisy = [look(steps, with_noise(scores, 0.02, random)) is not None for _ in range(options.count)]
        real[name] = {
            "jump": None if result is None else dataclasses.asdict(result[0]),
            "announced_at": None if result is None else result[1],
            "rate_with_noise_.02": round(sum(noisy) / len(noisy), 3),
        }
    rates = {
        title: {name: round(rate(draw, options.count, options.seed), 3) for name, draw in kinds.items()}
        for title, kinds in (("jumps", JUMPS), ("others", OTHERS))
    }
    rows = [[name, f"{value:.3f}"] for kinds in rates.values() for name, value in kinds.items()]
    rows += [[name, f"step {row['announced_at']}, {row['rate_with_noise_.02']:.3f}"] for name, row in real.items()]
    print_table(["curves", "announced"], rows)
    write(options.out / "jump.json", {**facts, "count": options.count, "seed": options.seed, **rates, "real": real})


if __name__ == "__main__":
    main()
