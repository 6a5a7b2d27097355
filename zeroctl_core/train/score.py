"""Does a sample follow its condition? The annotator is applied again, and the two maps are compared."""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor

from ..registry import Registry

SCORES: Registry[Callable[[Tensor, Tensor], dict[str, float]]] = Registry("score of an annotator")
"""Name of an annotator -> function of its maps of the samples and the conditions, [B, 3, H, W] in 0..1 both, to scores;
`follow` is the one to watch, 0..1. An annotator without one has no score."""


def line_f1(lines: Tensor, expected: Tensor, tolerance: int) -> Tensor:
    """Harmonic mean of the shares of pixels that have one of the other map within `tolerance` pixels, bool [B, H, W]
    -> [B]."""

    def covered(some: Tensor, others: Tensor) -> Tensor:
        size = 2 * tolerance + 1
        near = F.max_pool2d(others.float()[:, None], size, stride=1, padding=tolerance)[:, 0] > 0.5
        return (some & near).sum(dim=(1, 2)) / some.sum(dim=(1, 2)).clamp(min=1)

    precision, recall = covered(lines, expected), covered(expected, lines)
    return 2 * precision * recall / (precision + recall).clamp(min=1e-9)


def tolerance_of(height: int, width: int) -> int:
    """By how many pixels a line may be off: 1.5 % of the shorter side, at least one."""
    return max(1, round(0.015 * min(height, width)))


@SCORES.register("canny")
@SCORES.register("lines")
@SCORES.register("scribble")
def line_score(maps: Tensor, conditions: Tensor) -> dict[str, float]:
    """`line_f1` of white lines on black, mean over the batch."""
    tolerance = tolerance_of(maps.shape[2], maps.shape[3])
    f1 = float(line_f1(maps[:, 0] > 0.5, conditions[:, 0].to(maps.device) > 0.5, tolerance).mean())
    return {"follow": f1, "line_f1": f1}
