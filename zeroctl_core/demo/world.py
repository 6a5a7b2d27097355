"""A world of which everything is known: one coloured shape on a plain background, lit from the upper left.

Every scene is a few numbers; the picture, its caption and every condition map follow from them exactly. Scene `index`
of `seed` is always the same. All maps are rendered at 128x128 pixels; lengths are in pixels, y points down.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from .shapes import SHAPES

SIZE = 128

COLOURS: dict[str, tuple[float, float, float]] = {
    "red": (0.78, 0.10, 0.12),
    "green": (0.10, 0.56, 0.16),
    "blue": (0.10, 0.20, 0.76),
    "yellow": (0.78, 0.72, 0.12),
    "purple": (0.50, 0.12, 0.62),
    "cyan": (0.12, 0.70, 0.74),
    "white": (0.76, 0.76, 0.76),
    "black": (0.10, 0.10, 0.10),
}
"""Albedo of a colour's name; any two differ by at least .35 in Euclidean distance, so that an object can be told from
its background."""

Split = Literal["train", "held_out"]

LIGHT = (-0.50, -0.58, 0.64)  # towards the light, of length 1: right, down, towards the eye
AMBIENT = 0.45  # share of the light that comes from everywhere
GLOSS = 0.25  # white light reflected beside the albedo, so that shading shows on black too
BEVEL = 7.0  # width of the bevel, pixels
PLATEAU = 12.0  # height of an object's flat top
RADII = 22.0, 39.0
"""Smallest and largest radius of an object, pixels: small enough that two scenes of one shape overlap by chance with an
IoU of .20 only, so that the IoU of a sample says what its control did."""


def _combinations() -> dict[Split, list[tuple[str, str, str]]]:
    """(shape, colour, background) of either split. One in ten is never seen in training; every pair of two is."""
    every = [(s, c, b) for s in SHAPES for c in COLOURS for b in COLOURS if b != c]
    order = np.random.Generator(np.random.Philox(key=2302_05543)).permutation(len(every))
    held_out = {every[i] for i in order[: len(every) // 10]}
    return {"train": [c for c in every if c not in held_out], "held_out": [c for c in every if c in held_out]}


COMBINATIONS = _combinations()


NUMBERS = ("x", "y", "radius", "angle", "bevel", "wave_slope", "wave_period", "wave_angle", "wave_phase")
"""The fields of a scene that say where and how its object lies."""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What a picture shows. Lengths in pixels, angles in radians, slopes in pixels of height a pixel."""

    shape: str
    colour: str
    background: str
    x: float  # centre
    y: float
    radius: float
    angle: float
    bevel: int  # 1: the rim rises to the plateau, -1: it falls to a sunken one, 0: it is cut straight
    wave_slope: float  # steepest slope of the ridges, 0 to .4
    wave_period: float
    wave_angle: float
    wave_phase: float

    @property
    def caption(self) -> str:
        return f"a {self.colour} {self.shape} on a {self.background} background"

    @property
    def is_flat(self) -> bool:
        return self.bevel == 0 and self.wave_slope == 0


def scene(seed: int, index: int, split: Split = "train") -> Scene:
    """Scene `index` of `seed`: a pure function of its arguments."""
    draw = np.random.Generator(np.random.Philox(key=[seed * 2 + (split == "held_out"), index]))
    combinations = COMBINATIONS[split]
    shape, colour, background = combinations[int(draw.integers(len(combinations)))]
    radius = float(draw.uniform(*RADII))
    room = SIZE / 2 - 3 - radius * SHAPES[shape].reach
    x, y = (SIZE / 2 + float(draw.uniform(-1, 1)) * room for _ in "xy")
    return Scene(
        shape=shape,
        colour=colour,
        background=background,
        x=x,
        y=y,
        radius=radius,
        angle=float(draw.uniform(-math.pi, math.pi)),
        bevel=int(draw.integers(-1, 2)),
        wave_slope=float(draw.uniform(0.2, 0.4)) * float(draw.uniform() < 0.7),
        wave_period=float(draw.uniform(20, 40)),
        wave_angle=float(draw.uniform(-math.pi, math.pi)),
        wave_phase=float(draw.uniform(-math.pi, math.pi)),
    )


def flat(one: Scene) -> Scene:
    """The same scene with a surface as flat as the ground."""
    return replace(one, bevel=0, wave_slope=0.0)


def scenes(seed: int, start: int, count: int, split: Split = "train") -> list[Scene]:
    return [scene(seed, index, split) for index in range(start, start + count)]


@dataclass(frozen=True, kw_only=True)
class Rendering:
    """Scenes as pictures, and what is true of them, [B, C, 128, 128] each."""

    scenes: tuple[Scene, ...]
    image: Tensor  # 3 channels, 0..1
    mask: Tensor  # 1: share of the pixel that the object covers
    height: Tensor  # 1: pixels above the ground; 0 outside the object
    normals: Tensor  # 3: right, up, towards the eye; of length 1 on the object, 0 outside
    shading: Tensor  # 1: brightness of the surface over that of a flat one; 1 outside


def render(world: Sequence[Scene]) -> Rendering:
    """Draw scenes. Lambert's law with ambient light; a flat surface has a brightness of exactly 1, and so the median
    colour of an object is close to its colour's albedo."""
    count = len(world)
    place = {name: torch.tensor([float(getattr(one, name)) for one in world])[:, None, None] for name in NUMBERS}
    grid = torch.arange(SIZE) + 0.5
    right = grid.expand(count, SIZE, SIZE) - place["x"]
    down = grid[:, None].expand(count, SIZE, SIZE) - place["y"]
    cos, sin = place["angle"].cos(), place["angle"].sin()
    u, v = right * cos + down * sin, down * cos - right * sin
    distance = torch.empty(count, SIZE, SIZE)
    for name, shape in SHAPES.items():
        rows = [row for row, one in enumerate(world) if one.shape == name]
        if rows:
            distance[rows] = shape.distance(u[rows], v[rows], place["radius"][rows])
    mask = (0.5 - distance).clamp(0, 1)
    height = _height(distance, right, down, place)
    normals = surface_normals(height)
    shading = brightness_of(normals)
    albedo = torch.tensor([COLOURS[one.colour] for one in world])[:, :, None, None]
    ground = torch.tensor([COLOURS[one.background] for one in world])[:, :, None, None]
    lit = (albedo * shading[:, None] + GLOSS * (shading[:, None] - 1)).clamp(0, 1)
    inside = mask[:, None]
    on_object = (inside > 0.5).float()
    return Rendering(
        scenes=tuple(world),
        image=ground + (lit - ground) * inside,
        mask=inside,
        height=height[:, None] * on_object,
        normals=normals * on_object,
        shading=1 + (shading[:, None] - 1) * on_object,
    )


def _height(distance: Tensor, right: Tensor, down: Tensor, place: dict[str, Tensor]) -> Tensor:
    """Height of the object's surface, also where the object is not: a quarter circle at the rim, ridges on top."""
    rim = (1 - (-distance / BEVEL).clamp(0, 1)) ** 2
    bevel = place["bevel"] * BEVEL * ((1 - rim).clamp(min=1e-4).sqrt() - 1)
    along = right * place["wave_angle"].cos() + down * place["wave_angle"].sin()
    turn = 2 * math.pi / place["wave_period"]
    ridges = place["wave_slope"] / turn * (turn * along + place["wave_phase"]).sin()
    return PLATEAU + bevel + ridges


def brightness_of(normals: Tensor) -> Tensor:
    """Brightness of a surface over that of a flat one, by Lambert's law with ambient light: unit normals [B, 3, H, W]
    -> [B, H, W]."""
    light_right, light_down, light_eye = LIGHT
    lambert = normals[:, 0] * light_right - normals[:, 1] * light_down + normals[:, 2] * light_eye
    return AMBIENT + (1 - AMBIENT) * lambert.clamp(min=0) / light_eye


def surface_normals(height: Tensor) -> Tensor:
    """Unit normals (right, up, towards the eye) of a surface, by central differences; [B, H, W] -> [B, 3, H, W]."""
    padded = torch.nn.functional.pad(height[:, None], (1, 1, 1, 1), mode="replicate")[:, 0]
    slope_right = (padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]) / 2
    slope_down = (padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]) / 2
    normal = torch.stack((-slope_right, slope_down, torch.ones_like(height)), dim=1)
    return normal / normal.norm(dim=1, keepdim=True)
