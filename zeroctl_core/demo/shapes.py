"""The shapes of the world: signed distances from their outlines, negative inside."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Distance = Callable[[Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Shape:
    """`distance(u, v, radius)`: pixels from the outline at the place (u, v) of the shape's own axes.

    [B, H, W], [B, H, W], [B, 1, 1] -> [B, H, W]. Near the outline it is the true distance; far away it may be less.
    """

    distance: Distance
    reach: float  # farthest point from the centre, in radii
    corners: tuple[tuple[float, float], ...]  # in radii


def _circle(u: Tensor, v: Tensor, radius: Tensor) -> Tensor:
    return torch.hypot(u, v) - radius


def _square(u: Tensor, v: Tensor, radius: Tensor) -> Tensor:
    return torch.maximum(u.abs(), v.abs()) - 0.8 * radius


def _polygon_sector(u: Tensor, v: Tensor, arms: int) -> tuple[Tensor, Tensor]:
    """Fold the plane into half of one arm: distance along its axis, and across it (>= 0)."""
    sector = 2 * math.pi / arms
    angle = torch.atan2(v, u)
    folded = torch.remainder(angle + sector / 2, sector) - sector / 2
    length = torch.hypot(u, v)
    return length * folded.cos(), length * folded.sin().abs()


def _triangle(u: Tensor, v: Tensor, radius: Tensor) -> Tensor:
    along, across = _polygon_sector(u, v, 3)
    return along * 0.5 + across * math.sqrt(0.75) - 0.5 * TRIANGLE * radius


def _star(u: Tensor, v: Tensor, radius: Tensor) -> Tensor:
    along, across = _polygon_sector(u, v, 5)
    # the edge from the tip (STAR, 0) to the notch between two arms
    notch_along, notch_across = NOTCH * math.cos(math.pi / 5), NOTCH * math.sin(math.pi / 5)
    edge_along, edge_across = notch_along - STAR, notch_across
    length = math.hypot(edge_along, edge_across)
    return ((along - STAR * radius) * edge_across - across * edge_along) / length


def _ring(u: Tensor, v: Tensor, radius: Tensor) -> Tensor:
    return (torch.hypot(u, v) - 0.72 * radius).abs() - 0.28 * radius


def _moon(u: Tensor, v: Tensor, radius: Tensor) -> Tensor:
    bite = 0.78 * radius - torch.hypot(u - 0.5 * radius, v)
    return torch.maximum(torch.hypot(u, v) - radius, bite)


TRIANGLE = 1.15  # circumradius
STAR, NOTCH = 1.15, 0.5  # radii of a star's tips and notches


def _regular(count: int, radius: float, turn: float = 0.0) -> tuple[tuple[float, float], ...]:
    angles = [turn + 2 * math.pi * i / count for i in range(count)]
    return tuple((radius * math.cos(a), radius * math.sin(a)) for a in angles)


def _moon_tips() -> tuple[tuple[float, float], ...]:
    """Where the two circles meet: at distance 1 from the centre, .78 from (.5, 0)."""
    u = (1 - 0.78**2 + 0.5**2) / (2 * 0.5)
    v = math.sqrt(1 - u * u)
    return ((u, v), (u, -v))


SHAPES: dict[str, Shape] = {
    "circle": Shape(_circle, 1.0, ()),
    "square": Shape(_square, 0.8 * math.sqrt(2), _regular(4, 0.8 * math.sqrt(2), math.pi / 4)),
    "triangle": Shape(_triangle, TRIANGLE, _regular(3, TRIANGLE)),
    "star": Shape(_star, STAR, _regular(5, STAR)),
    "ring": Shape(_ring, 1.0, ()),
    "moon": Shape(_moon, 1.0, _moon_tips()),
}
