"""The sudden convergence: a control follows nothing for a while, and then, within a few steps, it does.

Source: arXiv 2302.05543, 3.3 and Fig. 4 ("sudden convergence phenomenon"); the paper sees it with the eye. The loss
hardly shows it, so it is looked for in a score of how well samples follow the condition.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

PLATEAU = 3  # scores that must agree at the end of a rise
AGREE = 0.2  # of the gain: largest difference between them
OF_THE_GAP = 0.4  # share of what was missing to a perfect score that must be gained
SCATTERS = 7.0  # the gain in standard deviations of a score
LEAST_SCATTER = 0.02  # of a score in 0..1: what 32 samples leave when one varies by .1
LOW, HIGH = 0.2, 0.75  # shares of the gain between which the rise is timed
SUDDEN = 0.5
"""Longest rise, in shares of the steps up to its end. From 20 to 75 % of the gain an even rise from the first step on
takes .73 of them, an exponential one .84, a logistic one whose middle 80 % take as long as all before its middle .45;
edge controls of the embedded model .27 to .44. `python -m benchmarks.jump` measures how often that is right."""


@dataclass(frozen=True)
class Jump:
    """A sudden convergence, as far as it is known: a rise may go on after it was recognised."""

    step: int  # the first scored step above half the rise
    before: float  # the score before the rise
    after: float  # and after it
    foot: int  # the last scored step below a fifth of the rise
    top: int  # the first scored step above three quarters of it

    def __str__(self) -> str:
        return (
            f"sudden convergence at step {self.step}: the score went from {self.before:.2f} to {self.after:.2f}, "
            f"for the most part between steps {self.foot} and {self.top}"
        )


class JumpDetector:
    """Look for a jump while scores come in: a gain that is high, was quick and has stayed.

        score
        perfect |- - - - - - - - - - - - - - - - - - - - - - -
          after |                       o o o  the plateau
                |- - - - - - - - - - -|- - - - - HIGH
                |                   o |
                |                 o   |
                |- - - - - - - -|- - - - - - - - LOW
         before |- o - - o - o -|- - - - - - - - - - - - - - -
                |               |     |
                +---------------------------------------------> step

    `before` is the first score, that of no control. A score that is lower than an earlier one by more than scores
    scatter is left out of the timing, so that a rise is not taken for a late one because of bad scores on its way.

    A rise is recognised before it is over. `jump` grows with it, as long as all of it is a jump, until `PLATEAU` scores
    have not raised it.
    """

    def __init__(self, perfect: float = 1.0) -> None:
        self.perfect = perfect
        self.steps: list[int] = []
        self.scores: list[float] = []
        self.jump: Jump | None = None
        self._since_grown = 0

    @property
    def is_over(self) -> bool:
        """Whether `jump` is the whole rise."""
        return self.jump is not None and self._since_grown >= PLATEAU

    def add(self, step: int, score: float) -> Jump | None:
        """Take the score of a step; the jump, when this score is the first that shows it.

        Raises `ValueError` for a step that is not after the last one, and for a score that is not finite.
        """
        if self.steps and step <= self.steps[-1]:
            raise ValueError(f"a score of step {step} was given after that of step {self.steps[-1]}")
        if not math.isfinite(score):
            raise ValueError(f"the score of step {step} is {score}; expected a finite number")
        self.steps.append(step)
        self.scores.append(score)
        if self.is_over:
            return None
        jump = self._look()
        if self.jump is None:
            self.jump = jump
            return jump
        has_grown = jump is not None and jump.after > self.jump.after
        self._since_grown = 0 if has_grown else self._since_grown + 1
        self.jump = jump if has_grown else self.jump
        return None

    def _look(self) -> Jump | None:
        last = self.scores[-PLATEAU:]
        before, after = self.scores[0], statistics.median(last)
        gain, spread = after - before, scatter(self.scores)
        is_high = gain >= max(OF_THE_GAP * (self.perfect - before), SCATTERS * spread)
        if len(self.scores) < PLATEAU + 2 or not is_high or max(last) - min(last) > AGREE * gain:
            return None
        steps, scores = self._without_dips(spread)
        low, half, high = (before + share * gain for share in (LOW, 0.5, HIGH))
        begin, end = crossing(steps, scores, low), crossing(steps, scores, high)
        if end - begin > SUDDEN * (end - self.steps[0]):
            return None
        return Jump(
            step=_first_above(steps, scores, half),
            before=before,
            after=after,
            foot=max(step for step in steps if step <= begin),
            top=_first_above(steps, scores, high),
        )

    def _without_dips(self, spread: float) -> tuple[list[int], list[float]]:
        """The scores that are not lower than an earlier one by more than they scatter."""
        steps, scores, best = [], [], -math.inf
        for step, score in zip(self.steps, self.scores, strict=True):
            best = max(best, score)
            if score >= best - 2 * spread:
                steps.append(step)
                scores.append(score)
        return steps, scores


def _first_above(steps: Sequence[int], scores: Sequence[float], level: float) -> int:
    return next(step for step, score in zip(steps, scores, strict=True) if score >= level)


def crossing(steps: Sequence[int], scores: Sequence[float], level: float) -> float:
    """The step at which a curve first comes to a level, on the straight lines between its points; the first step where
    it begins above, the last where it never comes there."""
    for place, score in enumerate(scores):
        if score >= level:
            if place == 0:
                return float(steps[0])
            share = (level - scores[place - 1]) / (score - scores[place - 1])
            return steps[place - 1] + share * (steps[place] - steps[place - 1])
    return float(steps[-1])


def scatter(scores: Sequence[float]) -> float:
    """The standard deviation of a score, from the differences of neighbours, of which a jump makes few large; never
    less than what is known of a score."""
    if len(scores) < 2:
        return LEAST_SCATTER
    differences = [abs(b - a) for a, b in zip(scores, scores[1:], strict=False)]
    return max(LEAST_SCATTER, statistics.median(differences) / 0.954)  # the median of |a - b| is .954 deviations
