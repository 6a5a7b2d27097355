"""Samples of a request with controls, and how well they follow: what proofs measure again and again."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, cast

from torch import Tensor, nn

from benchmarks.criterion import Figure
from zeroctl_core import RULES, ConnectionWeights, ControlUnit
from zeroctl_core.control.rows import Branches
from zeroctl_core.control.unit import Net
from zeroctl_core.demo.conditions import CONDITIONS
from zeroctl_core.demo.judge import judge_scores
from zeroctl_core.demo.rendering import Rendering
from zeroctl_core.demo.source import Request, Units, World
from zeroctl_core.train.following import following_figures

Rows = dict[str, list[float]]
"""Name of a figure -> its value of every seed."""


def unit_of(net: nn.Module, condition: str, truth: Rendering, **settings: Any) -> ControlUnit:
    return ControlUnit(cast(Net, net), CONDITIONS[condition](truth), **settings)


def control(net: nn.Module, condition: str, **settings: Any) -> Units:
    """One control on the condition of every scene; `settings` are those of `ControlUnit`."""
    return lambda truth: [unit_of(net, condition, truth, **settings)]


def mode(net: nn.Module, rule: str, branches: Branches) -> dict[str, Any]:
    """The settings of a unit that stand for a rule and a side of the guidance."""
    weights = ConnectionWeights(tuple(RULES[rule](cast(Net, net).base.connections)))
    return {"weights": weights, "branches": branches}


def figures_of(source: World, condition: str, request: Request, pictures: Tensor) -> dict[str, float]:
    """As `World.follow`, of pictures that are there; `follow` is not a number where true pictures score no more than
    chance."""
    scores, others = (source.each(request, condition, pictures, shift=shift) for shift in (0, 1))
    figures = following_figures(scores, others, source.ends(request, condition), pictures, source.without(request))
    return {"follow": math.nan, **figures, **judge_scores(source.judge, pictures, source.world(request))}


def add(rows: Rows, figures: dict[str, float]) -> None:
    """Take the figures of one more seed."""
    for key, value in figures.items():
        rows.setdefault(key, []).append(value)


def over_seeds(rows: Rows) -> dict[str, Figure]:
    return {key: Figure.of(values) for key, values in rows.items()}


def mean_of(series: Sequence[float]) -> float:
    return sum(series) / len(series) if series else math.nan
