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
    """Look for a jump while scores come in: a rise that is high, short and does not fall back.

        score
        perfect |- - - - - - - - - - - - - - - - - - - - - - -
                |                         . confirms
                |                    o   o   o   o   o
          held  |- - - - - - - - - - - - - - - - - - - - - - -
                |                 | top
                |                 |
                |              o  |
         level  |- o - - - o - | -|- - - - - - - - - - - - - -
                |      o       foot
                +---------------------------------------------> step

    `foot` is the last score of the time before, whose mean is the `level`; `top` is where the rise ends, and what it
    `held` is the lower one of the top and of the score after it. `perfect` is the best score there is, higher being
    better.
    """

    def __init__(self, perfect: float = 1.0) -> None:
        self.perfect = perfect
        self.steps: list[int] = []
        self.scores: list[float] = []
        self.jump: Jump | None = None

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
        if self.jump is not None:
            return None
        self.jump = self._look()
        return self.jump

    def _look(self) -> Jump | None:
        """The latest rise that is a jump; of several with one top the shortest.

        The last score can confirm a rise and is not the top of one.
        """
        for top in range(len(self.scores) - 2, EARLIER - 1, -1):
            for foot in range(top - 1, EARLIER - 2, -1):
                if not self._is_short(foot, top):
                    break  # and so are all with an earlier foot
                if self._is_high(foot, top) and self._stands_out(foot, top) and self._lasts(foot, top):
                    return self._jump(foot, top)
        return None

    def _level(self, foot: int) -> float:
        """The mean score up to the foot."""
        return sum(self.scores[: foot + 1]) / (foot + 1)

    def _held(self, top: int) -> float:
        """What is left of the top once the next score has confirmed it."""
        return min(self.scores[top : top + 2])

    def _height(self, foot: int, top: int) -> float:
        return self._held(top) - max(self._level(foot), self.scores[foot])

    def _is_short(self, foot: int, top: int) -> bool:
        """It took no longer than all before it and, if it passed over scores, a small share of the run so far.

        So a rise in the first hundred steps is recognised some scores later.
        """
        first, last = self.steps[0], self.steps[-1]
        duration = self.steps[top] - self.steps[foot]
        passes_over_scores = foot < top - 1
        return duration <= self.steps[foot] - first and not (
            passes_over_scores and duration > OF_THE_TIME * (last - first)
        )

    def _is_high(self, foot: int, top: int) -> bool:
        """It closes much of the gap to a perfect score, and is most of what was gained since the start."""
        gap = self.perfect - self._level(foot)
        gain = max(self.scores) - sum(self.scores[:2]) / 2
        return self._height(foot, top) >= max(OF_THE_GAP * gap, OF_THE_RISE * gain)

    def _stands_out(self, foot: int, top: int) -> bool:
        """It is more than the scores before it scatter."""
        return self._height(foot, top) >= SCATTERS * scatter(self.scores[: foot + 1])

    def _lasts(self, foot: int, top: int) -> bool:
        """No score from the top on has lost half of it."""
        return min(self.scores[top:]) >= self._level(foot) + self._height(foot, top) / 2

    def _jump(self, foot: int, top: int) -> Jump:
        level = self._level(foot)
        middle = (level + self._held(top)) / 2
        above = next(place for place in range(foot + 1, top + 1) if self.scores[place] >= middle)
        return Jump(
            step=self.steps[above],
            before=level,
            after=self.scores[-1],
            foot=self.steps[foot],
            top=self.steps[top],
        )


def scatter(scores: Sequence[float]) -> float:
    """The standard deviation, enlarged for few scores (5 times for two, 1.4 times for ten), from which it comes out too
    small as often as not; never less than what is known of a score."""
    n = len(scores)
    mean = sum(scores) / n
    deviation = math.sqrt(sum((score - mean) ** 2 for score in scores) / (n - 1))
    return max(LEAST_SCATTER, deviation * (n + 3) / (n - 1))
