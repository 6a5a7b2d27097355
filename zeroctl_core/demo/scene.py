"""Scenes of the things: one to three of them on a ground, as numbers and names alone; no picture is needed for them.

Scene `index` of `seed` and `split` is always the same. Lengths are in pixels of 192, y points down.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations_with_replacement
from typing import Literal, get_args

import numpy as np

from .colours import COLOURS
from .names import NEW_THINGS, THINGS
from .shapes import SHAPES

SIZE = 192
"""Pixels a side of the model's pictures."""

Split = Literal["train", "held_out", "new_things", "new_grounds"]
"""`held_out`: known things and grounds that training never showed together, and pairs that it never showed;
`new_things`: things of no training; `new_grounds`: grounds whose colour has no word."""
SPLITS: tuple[Split, ...] = get_args(Split)

BALL = "ball"  # the only shape that is as round as it is high
DRAWN = (BALL, *(name for name in SHAPES if name != "circle"))
KNOWN = (*DRAWN, *THINGS)
NEW_GROUNDS: dict[str, tuple[float, float, float]] = {"orange": (0.86, 0.46, 0.12), "pink": (0.84, 0.50, 0.66)}
GROUNDS = {**COLOURS, **NEW_GROUNDS}

COUNTS = (0.5, 0.42, 0.08)  # shares of scenes with one, two and three things
DRAWN_SHARE = 0.25  # of the things: six shapes in eight colours each need more than one picture does
SIZES = ((112.0, 162.0), (76.0, 90.0), (52.0, 61.0))
"""Smallest and largest longer side of a thing, of scenes with one, two and three: eyes want every pixel."""
TURN = math.radians(10)  # things; shapes turn all the way round
MARGIN = 2.0  # at least so much ground around each, as long as there are no shadows
ASIDE = 0.5  # share of the room across a row that its things use, so that the row is seen
LIGHT_SLOPE = 0.06  # the ground's brightness at the rim over that in the middle, at most

ACROSS, DOWN = "left of", "above"
"""What the first thing of a row, or of a column, is to the second one."""


@dataclass(frozen=True, kw_only=True)
class Thing:
    name: str
    colour: str | None  # of a drawn shape
    x: float  # centre of its bounding box before the turn
    y: float
    size: float  # longer side of its bounding box before the turn
    turn: float  # radians, clockwise
    is_flipped: bool  # left for right


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What a picture shows. `relation` holds between each thing and the next one."""

    things: tuple[Thing, ...]
    relation: str | None  # ACROSS or DOWN; None: there is one thing
    ground: str
    light: tuple[float, float]  # slope of the ground's brightness, right and down, over half a picture


@lru_cache(maxsize=1)
def held_out_grounds() -> frozenset[tuple[str, str]]:
    """(thing, ground) of one in ten: every thing is seen on most grounds."""
    return _tenth([(name, ground) for name in KNOWN for ground in COLOURS], 1)


@lru_cache(maxsize=1)
def held_out_pairs() -> frozenset[tuple[str, str]]:
    """One in ten of all pairs of things, in alphabetical order."""
    return _tenth(list(combinations_with_replacement(sorted(KNOWN), 2)), 2)


def _tenth(every: Sequence[tuple[str, str]], stream: int) -> frozenset[tuple[str, str]]:
    order = np.random.Generator(np.random.Philox(key=[2302_05543, stream])).permutation(len(every))
    return frozenset(every[i] for i in order[: len(every) // 10])


def scene(seed: int, index: int, split: Split = "train", *, shapes_only: bool = False) -> Scene:
    """Scene `index` of `seed`: a pure function of its arguments. `shapes_only`: of shapes alone, which need no picture;
    six of them leave few pairs to hold out, so held-out scenes are then those of other numbers.

    Raises `ValueError` for a split that is not known, and for new things that shall be drawn.
    """
    if split not in SPLITS:
        raise ValueError(f"split is {split!r}; expected one of {', '.join(SPLITS)}")
    if shapes_only and split == "new_things":
        raise ValueError("every shape that is drawn was trained on: new_things are pictures")
    draw = np.random.Generator(np.random.Philox(key=[seed * len(SPLITS) + SPLITS.index(split), index]))
    count = 1 + int(draw.choice(len(COUNTS), p=COUNTS))
    while True:
        names = [_name(draw, split, shapes_only) for _ in range(count)]
        grounds = list(NEW_GROUNDS if split == "new_grounds" else COLOURS)
        ground = grounds[int(draw.integers(len(grounds)))]
        if _belongs(names, ground, "any" if shapes_only and split == "held_out" else split):
            break
    across = bool(draw.integers(2))
    things = tuple(
        _thing(draw, name, ground, place=place, count=count, across=across) for place, name in enumerate(names)
    )
    slope, towards = float(draw.uniform(0, LIGHT_SLOPE)), float(draw.uniform(-math.pi, math.pi))
    return Scene(
        things=things,
        relation=None if count == 1 else ACROSS if across else DOWN,
        ground=ground,
        light=(slope * math.cos(towards), slope * math.sin(towards)),
    )


def scenes(seed: int, start: int, count: int, split: Split = "train", *, shapes_only: bool = False) -> list[Scene]:
    return [scene(seed, index, split, shapes_only=shapes_only) for index in range(start, start + count)]


def pair_of(first: str, second: str) -> tuple[str, str]:
    """Two names in the order in which pairs are kept."""
    return (first, second) if first <= second else (second, first)


def _name(draw: np.random.Generator, split: Split, shapes_only: bool) -> str:
    if split == "new_things":
        names: Sequence[str] = list(NEW_THINGS)
    else:
        names = DRAWN if shapes_only or draw.uniform() < DRAWN_SHARE else list(THINGS)
    return names[int(draw.integers(len(names)))]


def _belongs(names: Sequence[str], ground: str, split: Split | Literal["any"]) -> bool:
    """Whether such a scene is one of the split: in `held_out` the one pair of two is new, or the ground of one."""
    if split in ("new_things", "new_grounds", "any"):
        return True
    pairs = [pair_of(a, b) for n, a in enumerate(names) for b in names[n + 1 :]]
    new_pairs = [pair in held_out_pairs() for pair in pairs]
    new_grounds = [(name, ground) in held_out_grounds() for name in names]
    if split == "train":
        return not any(new_pairs) and not any(new_grounds)
    return any(new_pairs) if pairs else all(new_grounds)


def _thing(draw: np.random.Generator, name: str, ground: str, *, place: int, count: int, across: bool) -> Thing:
    """The thing at a place of a row or column, whole inside its part of the picture."""
    turn = float(draw.uniform(-1, 1)) * (math.pi if name in DRAWN else TURN)
    slot = SIZE / count
    # a shape's size is that of the circle around it; a picture may reach into the corners of its turned box
    reach = 1.0 if name in DRAWN else abs(math.cos(turn)) + abs(math.sin(turn))
    size = min(float(draw.uniform(*SIZES[count - 1])), (slot - 2 * MARGIN) / reach)
    along = slot * (place + 0.5) + float(draw.uniform(-1, 1)) * ((slot - reach * size) / 2 - MARGIN)
    room = ((SIZE - reach * size) / 2 - MARGIN) * (1.0 if count == 1 else ASIDE)
    beside = SIZE / 2 + float(draw.uniform(-1, 1)) * room
    x, y = (along, beside) if across or count == 1 else (beside, along)
    colours = [colour for colour in COLOURS if colour != ground]
    colour = colours[int(draw.integers(len(colours)))]
    return Thing(
        name=name,
        colour=colour if name in DRAWN else None,
        x=x,
        y=y,
        size=size,
        turn=turn,
        is_flipped=bool(draw.integers(2)),
    )
