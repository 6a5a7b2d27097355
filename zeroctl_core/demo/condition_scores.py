"""How well pictures show a condition of the world, by what can be seen in them again."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..annotators.canny import canny
from ..registry import Registry
from ..train.score import class_score, colour_score, line_score, scribble_score
from .conditions import disc_of_colours
from .following import background_colour, object_colour, object_mask

CONDITION_SCORES: Registry[Callable[[Tensor, Tensor], Tensor]] = Registry("score of a condition of the world")
"""Name of a condition -> function of pictures and conditions, [B, 3, 128, 128] in 0..1 both, to a score of each, [B].
Of depth and normals it is the outline, for the world has no estimator: their relief is in the judge's `shading`."""


@CONDITION_SCORES.register("edges")
def edge_score(pictures: Tensor, conditions: Tensor) -> Tensor:
    """Canny edges again."""
    return line_score(canny(pictures), conditions)


@CONDITION_SCORES.register("scribble")
def drawn_score(pictures: Tensor, conditions: Tensor) -> Tensor:
    """The share of the scribble that lies on Canny edges."""
    return scribble_score(canny(pictures), conditions)


@CONDITION_SCORES.register("mask")
@CONDITION_SCORES.register("depth")
@CONDITION_SCORES.register("normals")
def outline_score(pictures: Tensor, conditions: Tensor) -> Tensor:
    """What differs from the ground, beside what the condition marks."""
    marked = (conditions.amax(dim=1) > 0.15).float()
    return class_score(_map(object_mask(pictures).float()), _map(marked))


@CONDITION_SCORES.register("colours")
def two_colours_score(pictures: Tensor, conditions: Tensor) -> Tensor:
    """The colours of object and ground, drawn again as the condition draws them."""
    again = disc_of_colours(object_colour(pictures, object_mask(pictures)), background_colour(pictures))
    return colour_score(again, conditions)


def _map(inside: Tensor) -> Tensor:
    return torch.stack((inside,) * 3, dim=1)
