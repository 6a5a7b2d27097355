"""What a score means: between chance and the true picture, with its error and the quality of the samples beside it.

following = (score - floor) / (ceiling - floor): 0 is chance, 1 is as good as the picture itself. The floor is the score
of the same seeds and prompts without control, the ceiling that of the true picture after the autoencoder. Only so do
scores of different conditions mean the same, and a control that was not trained does not score .65 for empty maps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

SATURATED = 0.02  # of the range of a pixel: nearer than this to an end it is burnt out
LEAST_RANGE = 0.05  # between floor and ceiling: with less a score says nothing
HALF = 0.5  # following from which a single sample counts as one that follows


@dataclass(frozen=True)
class Ends:
    """What a score is measured between: chance, and the best that there is; one for every sample, [B]."""

    floor: Tensor
    ceiling: Tensor

    def following(self, scores: Tensor) -> Tensor:
        """(score - floor) / (ceiling - floor) of every sample [B], by the means of floor and ceiling: a single floor is
        as good as noise."""
        floor, ceiling = self.floor.mean(), self.ceiling.mean()
        return (scores - floor) / (ceiling - floor)

    @property
    def is_usable(self) -> bool:
        """Whether a true picture scores more than chance."""
        return float(self.ceiling.mean() - self.floor.mean()) > LEAST_RANGE


def following_figures(
    scores: Tensor, others: Tensor, ends: Ends, pictures: Tensor, without: Tensor
) -> dict[str, float]:
    """The figures of a score, from the scores of every sample, [B], beside its own and beside another's condition.

    `follow` is the one to watch; `follow_error` is its standard error over the samples, `n_follow` how many of the
    `n_scored` samples follow by more than half; `score`, `floor`, `other` and `ceiling` are what it is computed from.
    `saturated`: share of burnt-out channels in the pictures [B, 3, H, W], `saturated_without` in those without control:
    a control can follow and ruin. Only these two where a true picture scores no more than chance.
    """
    quality = {"saturated": saturated(pictures), "saturated_without": saturated(without)}
    if not ends.is_usable:
        return quality
    each = ends.following(scores)
    error = float(each.std()) / math.sqrt(len(each)) if len(each) > 1 else 0.0
    return {
        "follow": float(each.mean()),
        "follow_error": error,
        "n_follow": float((each >= HALF).sum()),
        "n_scored": float(len(each)),
        "score": float(scores.mean()),
        "floor": float(ends.floor.mean()),
        "other": float(others.mean()),
        "ceiling": float(ends.ceiling.mean()),
        **quality,
    }


def saturated(pictures: Tensor) -> float:
    """Share of the channels of pixels that are at an end of 0..1."""
    return float(((pictures < SATURATED) | (pictures > 1 - SATURATED)).float().mean())
