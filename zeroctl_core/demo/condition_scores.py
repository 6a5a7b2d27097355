"""How well pictures show a condition, by what can be seen in them again."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..annotators.canny import canny
from ..annotators.color import color
from ..registry import Registry
from ..train.score import class_score, colour_score, line_score, scribble_score
from .conditions import SQUARES
from .judge import CELL, Judge

Compare = Callable[[Judge, Tensor, Tensor], Tensor]

CONDITION_SCORES: Registry[Compare] = Registry("score of a condition of the world")
"""Name of a condition -> function of the judge, pictures and conditions, [B, 3, 192, 192] in 0..1 both, to a score of
each, [B]. Of depth and normals it is the place alone, for the world has no estimator of relief."""

MARKED = 0.15  # of a condition of surfaces, from which something stands there


@CONDITION_SCORES.register("edges")
def edge_score(judge: Judge, pictures: Tensor, conditions: Tensor) -> Tensor:
    """Canny edges again."""
    return line_score(canny(pictures), conditions)


@CONDITION_SCORES.register("scribble")
def drawn_score(judge: Judge, pictures: Tensor, conditions: Tensor) -> Tensor:
    """The share of the scribble that lies on Canny edges."""
    return scribble_score(canny(pictures), conditions)


@CONDITION_SCORES.register("mask")
@CONDITION_SCORES.register("depth")
@CONDITION_SCORES.register("normals")
def place_score(judge: Judge, pictures: Tensor, conditions: Tensor) -> Tensor:
    """The cells in which the judge sees a thing, beside those that the condition marks."""
    cells = judge(pictures).argmax(dim=1) > 0
    marked = conditions.amax(dim=1)[:, CELL // 2 :: CELL, CELL // 2 :: CELL] > MARKED
    return class_score(_map(cells), _map(marked))


@CONDITION_SCORES.register("colours")
def squares_score(judge: Judge, pictures: Tensor, conditions: Tensor) -> Tensor:
    """The squares of mean colours again."""
    return colour_score(color(pictures, grid=SQUARES, method="area"), conditions)


def _map(inside: Tensor) -> Tensor:
    return torch.stack((inside.float(),) * 3, dim=1)
