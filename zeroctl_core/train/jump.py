"""The sudden convergence: a control follows nothing for hundreds of steps, and then, within a few, it does.

Source: arXiv 2302.05543, 3.3 and Fig. 4 ("sudden convergence phenomenon"); the paper sees it with the eye. The loss
hardly shows it, so it is looked for in a score of how well samples follow the condition.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

EARLIER = 2  # scores before the rise, at least; they must span as many steps as the rise takes
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
    """Look for a jump while scores come in.

    A rise counts once the next score has confirmed it and no later one has lost half of it, and once it is short
    beside the run so far: one in the first hundred steps is recognised some scores later. `perfect` is the best score
    there is, higher being better.
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
        """The latest rise that qualifies, from its foot to its top; of several with one top the shortest."""
        steps, scores, last = self.steps, self.scores, len(self.scores) - 1
        gained, begun = max(scores) - sum(scores[:2]) / 2, steps[last] - steps[0]
        lowest = scores[last]  # from the top on
        for top in range(last - 1, EARLIER - 1, -1):
            lowest, held = min(lowest, scores[top]), min(scores[top : top + 2])
            for foot in range(top - 1, EARLIER - 2, -1):
                took = steps[top] - steps[foot]
                if took > steps[foot] - steps[0] or (foot < top - 1 and took > OF_THE_TIME * begun):
                    break
                before = scores[: foot + 1]
                level = sum(before) / len(before)
                rise = held - max(level, scores[foot])
                enough = max(OF_THE_GAP * (self.perfect - level), OF_THE_RISE * gained)
                if rise < enough or lowest < level + rise / 2 or rise < SCATTERS * scatter(before):
                    continue
                first = next(place for place in range(foot + 1, top + 1) if scores[place] >= (level + held) / 2)
                return Jump(steps[first], level, scores[last], steps[foot], steps[top])
        return None


def scatter(scores: Sequence[float]) -> float:
    """The standard deviation, enlarged for few scores (5 times for two, 1.4 times for ten), from which it comes out too
    small as often as not; never less than what is known of a score."""
    n = len(scores)
    mean = sum(scores) / n
    deviation = math.sqrt(sum((score - mean) ** 2 for score in scores) / (n - 1))
    return max(LEAST_SCATTER, deviation * (n + 3) / (n - 1))
