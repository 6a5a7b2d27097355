"""The sudden convergence: a control follows nothing for hundreds of steps, and then, within a few, it does.

Source: arXiv 2302.05543, 3.3 and Fig. 4 ("sudden convergence phenomenon"); the paper sees it with the eye. The loss
hardly shows it, so it is looked for in a score of how well samples follow the condition.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

EARLIER = 3  # scores before the rise, at least: fewer tell nothing of how much they scatter
SCATTERS = 5.0  # the rise in standard deviations of the earlier scores
LEAST_SCATTER = 0.02  # of a score in 0..1: what 32 samples leave when one varies by .1
OF_THE_GAP = 0.25  # share of what was missing to a perfect score that the rise must close
OF_THE_RISE = 0.7  # share of all that was gained since the start that must fall into the rise
OF_THE_TIME = 0.3  # share of the run so far that a rise over several scores may take: a steady one gains .3 in .3


@dataclass(frozen=True)
class Jump:
    """A sudden convergence."""

    step: int  # the first scored step above half the rise
    before: float  # mean score up to the foot of the rise
    after: float  # the score that confirmed it
    foot: int  # the rise lies between this step
    top: int  # and this one

    def __str__(self) -> str:
        return (
            f"sudden convergence at step {self.step}: the score went from {self.before:.2f} to {self.after:.2f} "
            f"between steps {self.foot} and {self.top}"
        )


class JumpDetector:
    """Look for a jump while scores come in. A rise counts once the next score has confirmed it.

    `perfect` is the best score there is, higher being better.
    """

    def __init__(self, perfect: float = 1.0) -> None:
        self.perfect = perfect
        self.steps: list[int] = []
        self.scores: list[float] = []
        self.found: Jump | None = None

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
        if self.found is not None:
            return None
        self.found = self._look()
        return self.found

    def _look(self) -> Jump | None:
        """A rise that ends at the last score but one and was held by the last; the steepest of those that qualify."""
        top = len(self.scores) - 2
        start = sum(self.scores[:2]) / 2
        for foot in range(top - 1, EARLIER - 2, -1):
            before = self.scores[: foot + 1]
            n = len(before)
            level, held = sum(before) / n, min(self.scores[top:])
            # a deviation from few scores is too small as often as not: 3 times as much for three, 1.4 for ten
            scatter = math.sqrt(sum((score - level) ** 2 for score in before) / (n - 1)) * (n + 3) / (n - 1)
            rise = held - max(level, before[-1])
            enough = max(SCATTERS * max(scatter, LEAST_SCATTER), OF_THE_GAP * (self.perfect - level))
            gained = held - start
            begun = self.steps[top] - self.steps[0]
            short = foot == top - 1 or self.steps[top] - self.steps[foot] <= OF_THE_TIME * begun
            if short and rise >= enough and rise >= OF_THE_RISE * gained:
                half = (level + held) / 2
                first = next(place for place in range(foot + 1, top + 1) if self.scores[place] >= half)
                return Jump(self.steps[first], level, self.scores[-1], self.steps[foot], self.steps[top])
        return None
