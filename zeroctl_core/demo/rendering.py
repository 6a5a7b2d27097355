"""Scenes of the things as pictures, and what is true of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .colours import COLOURS
from .light import GLOSS, brightness_of, surface_normals
from .pictures import Cutout, Pixels
from .scene import BALL, GROUNDS, SIZE, Scene, Thing
from .shapes import SHAPES

SHADOW = 0.35  # share of the ground's light that a thing takes away
SHADOW_BLUR = 4.5  # standard deviation, pixels: soft enough that Canny sees no line
SHADOW_AWAY = (4.0, 6.0)  # right and down, pixels: the light comes from the upper left
BEVEL = 0.35  # width of a drawn shape's bevel, in radii; a ball's is 1


@dataclass(frozen=True, kw_only=True)
class Rendering:
    """[B, C, 192, 192] each. Shapes have the relief that they are drawn with. Pictures of things have no true one:
    theirs rises from the outline in a quarter circle, and stays flat further in."""

    scenes: tuple[Scene, ...]
    image: Tensor  # 3 channels, 0..1
    number: Tensor  # int64 [B, 192, 192]: which thing of the scene covers most of the pixel, from 1; 0 is the ground
    mask: Tensor  # 1: share of the pixel that things cover
    height: Tensor  # 1: pixels above the ground


def render(world: Sequence[Scene], cutouts: Mapping[str, Cutout] | None = None) -> Rendering:
    """Draw scenes: ground, soft shadows, things; deterministic on one machine. Drawn shapes need no cutouts."""
    cutouts = cutouts or {}
    pictures, numbers, masks, heights = zip(*(_draw(one, cutouts) for one in world), strict=True)

    def batch(planes: Sequence[Pixels]) -> Tensor:
        return torch.from_numpy(np.stack(planes))[:, None]

    return Rendering(
        scenes=tuple(world),
        image=torch.from_numpy(np.stack(pictures)).movedim(-1, 1).clamp(0, 1).contiguous(),
        number=torch.from_numpy(np.stack(numbers)),
        mask=batch(masks),
        height=batch(heights),
    )


def _draw(one: Scene, cutouts: Mapping[str, Cutout]) -> tuple[Pixels, NDArray[np.int64], Pixels, Pixels]:
    picture = _ground(one)
    layers = [
        _shape(thing) if thing.colour is not None else _placed(thing, cutouts[thing.name]) for thing in one.things
    ]
    coverage = np.clip(np.sum([layer[:, :, 3] for layer in layers], axis=0), 0, 1)
    picture *= 1 - SHADOW * _shadow(coverage)[:, :, None]
    number = np.zeros((SIZE, SIZE), np.int64)
    height = np.zeros((SIZE, SIZE), np.float32)
    for n, layer in enumerate(layers, 1):
        alpha = layer[:, :, 3]
        picture += layer[:, :, :3] - picture * alpha[:, :, None]
        number[alpha > 0.5] = n
        height = np.where(alpha > 0.5, layer[:, :, 4], height)
    return picture, number, coverage, height


def _ground(one: Scene) -> Pixels:
    along = (np.arange(SIZE, dtype=np.float32) + 0.5) / SIZE * 2 - 1
    light = 1 + one.light[0] * along[None, :] + one.light[1] * along[:, None]
    return np.asarray(light[:, :, None] * np.asarray(GROUNDS[one.ground]), np.float32)


def _shadow(coverage: Pixels) -> Pixels:
    import cv2

    moved = cv2.warpAffine(coverage, np.array([[1, 0, SHADOW_AWAY[0]], [0, 1, SHADOW_AWAY[1]]]), (SIZE, SIZE))
    return np.asarray(cv2.GaussianBlur(moved, (0, 0), SHADOW_BLUR), np.float32)


def _placed(thing: Thing, cutout: Cutout) -> Pixels:
    """The thing on the canvas, [192, 192, 5]: colours times coverage, coverage, height in pixels."""
    import cv2

    side = thing.size / cutout.size  # of the whole picture, on the canvas
    level = next((pixels for pixels in reversed(cutout.levels) if len(pixels) >= side), cutout.levels[0])
    scale = len(level) / side
    cos, sin = scale * math.cos(thing.turn), scale * math.sin(thing.turn)
    flip = -1 if thing.is_flipped else 1
    # from a pixel of the canvas to one of the picture, middles of pixels at halves
    turn = np.array([[flip * cos, flip * sin], [-sin, cos]])
    start = len(level) * np.array(cutout.centre) - 0.5 - turn @ np.array([thing.x - 0.5, thing.y - 0.5])
    placing = np.column_stack([turn, start])
    how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    colours = cv2.warpAffine(level[:, :, :4], placing, (SIZE, SIZE), flags=how)
    relief = cv2.warpAffine(level[:, :, 4], placing, (SIZE, SIZE), flags=how)
    return np.dstack([colours, relief * (BEVEL * thing.size / 2)])


def _shape(thing: Thing) -> Pixels:
    """As `_placed`, of a shape: drawn, with a bevel, and lit."""
    name = "circle" if thing.name == BALL else thing.name
    shape = SHAPES[name]
    radius = thing.size / 2 / shape.reach
    grid = torch.arange(SIZE) + 0.5
    right, down = (grid - thing.x).expand(SIZE, SIZE), (grid - thing.y)[:, None].expand(SIZE, SIZE)
    cos, sin = math.cos(thing.turn), math.sin(thing.turn)
    u, v = right * cos + down * sin, down * cos - right * sin
    distance = shape.distance(u[None], v[None], torch.full((1, 1, 1), radius))
    width = radius * (1.0 if thing.name == BALL else BEVEL)
    height = width * (1 - (1 - (-distance / width).clamp(0, 1)) ** 2).clamp(min=1e-4).sqrt()
    shading = brightness_of(surface_normals(height))
    albedo = torch.tensor(COLOURS[thing.colour or ""])[:, None, None]
    lit = (albedo * shading + GLOSS * (shading - 1)).clamp(0, 1)
    coverage = (0.5 - distance).clamp(0, 1)
    return torch.cat([lit * coverage, coverage, height]).movedim(0, -1).numpy()
