"""Whether key points are in 0..1 or in pixels: asked of every part by itself, for programs mix the two.

A part of which two points or more lie within 2 of the corner is in 0..1: a figure may stick out of its picture by once
its size, and nobody is two pixels large. One with a point far away is in pixels. A single point near the corner, and a
part that reaches a little beyond 2, could be either: it follows its person, then the others on the frame.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

NORMALISED_REACH = 2.0
"""How far from the corner points in 0..1 may lie, as a part of the picture."""

OPEN_REACH = 8.0
"""Up to here a part could still be in either unit: the figure of someone just out of the picture, or a tiny one in
pixels. On small canvases it ends at an eighth of the longer side."""

Unit = Literal["normalised", "pixels"]
People = Sequence[Mapping[str, np.ndarray]]
"""For each person the parts of which something was found, [points, 3]."""


def units_of(people: People, height: int, width: int) -> list[dict[str, Unit | None]]:
    """The unit of every part of every person; None where it stays open."""
    sure = [
        {name: unit for name, part in parts.items() if (unit := _unit(part, max(height, width)))} for parts in people
    ]
    of_people = [_unit_of_person(units) for units in sure]
    of_frame = {unit for units in of_people for unit in units}
    return [
        {name: units.get(name) or _follow(part, person or of_frame) for name, part in parts.items()}
        for parts, units, person in zip(people, sure, of_people, strict=True)
    ]


def _unit(part: np.ndarray, longest: int) -> Unit | None:
    """What the part itself says."""
    points = part[part[:, 2] > 0, :2]
    if len(points) == 0:
        return None
    reach = float(np.abs(points).max())
    if reach > NORMALISED_REACH:
        return "pixels" if reach > min(OPEN_REACH, longest / 8) else None
    return "normalised" if (points != points[0]).any() else None


def _unit_of_person(units: Mapping[str, Unit]) -> set[Unit]:
    """That of the body, else those of the other parts."""
    return {units["body"]} if "body" in units else set(units.values())


def _follow(part: np.ndarray, units: set[Unit]) -> Unit | None:
    if len(units) == 1:
        return next(iter(units))
    # with nothing to follow, points within 2 are in 0..1: a picture of them in pixels would show nothing
    reach = np.abs(part[part[:, 2] > 0, :2]).max(initial=0)
    return "normalised" if not units and reach <= NORMALISED_REACH else None
