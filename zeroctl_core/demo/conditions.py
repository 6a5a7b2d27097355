"""The condition maps of the world: those with an annotator as it draws them, the others as the scene knows them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..annotators.canny import canny
from ..annotators.color import color
from ..registry import Registry
from .light import surface_normals
from .rendering import Rendering
from .scene import SIZE, Scene

CONDITIONS: Registry[Callable[[Rendering], Tensor]] = Registry("condition of the world")
"""Name -> function from a rendering to the condition images [B, 3, 192, 192] in 0..1."""

LOWEST = 0.3  # of a thing in a depth map; the ground is 0
FLAT = 1e-3  # pixels of relief below which a surface counts as flat
SQUARES = 48  # pixels a side of the colours' squares: coarse enough to leave the outline to another control
SKETCHED = 0.3  # share of line conditions in training that show outlines alone, as people draw them


@CONDITIONS.register("edges")
def edges(rendering: Rendering) -> Tensor:
    """Canny edges (100, 200) of the picture."""
    return canny(rendering.image)


@CONDITIONS.register("scribble")
def scribble(rendering: Rendering) -> Tensor:
    """The lines of the picture as if drawn by hand, thick and straying.

    The annotator's own lines of pictures, XDoG's, are made for 512 pixels: of 192 they leave out half of the things.
    """
    return hand_drawn(rendering.image, [_phases(one) for one in rendering.scenes])


def hand_drawn(sheets: Tensor, phases: Sequence[tuple[float, float]]) -> Tensor:
    """Straying lines, 3 pixels thick, of coverages or pictures [B, 1 or 3, 192, 192], each by its own two phases
    -> [B, 3, 192, 192]."""
    grid = torch.arange(SIZE) + 0.5
    bent = []
    for (across, down), sheet in zip(phases, sheets, strict=True):
        bent_x = grid[None, :] + 3 * torch.sin(grid[:, None] / 9 + across) * torch.ones_like(grid)[None, :]
        bent_y = grid[:, None] + 3 * torch.sin(grid[None, :] / 9 + down) * torch.ones_like(grid)[:, None]
        place = torch.stack((bent_x, bent_y), dim=-1)[None] / SIZE * 2 - 1
        bent.append(F.grid_sample(sheet[None], place, padding_mode="border", align_corners=False))
    outline = canny(torch.cat(bent).expand(-1, 3, -1, -1))
    return F.max_pool2d(outline, 3, stride=1, padding=1)


@CONDITIONS.register("mask")
def mask(rendering: Rendering) -> Tensor:
    """What the things cover, white on black."""
    return rendering.mask.expand(-1, 3, -1, -1)


@CONDITIONS.register("depth")
def depth(rendering: Rendering) -> Tensor:
    """Relative depth as monocular estimators give it: true of the shapes; of pictures the relief of `Rendering`."""
    return relative_depth(rendering.mask, rendering.height)


def relative_depth(mask: Tensor, height: Tensor) -> Tensor:
    """The depth map of things with a coverage and a height [B, 1, H, W] -> [B, 3, H, W]."""
    on_object = mask > 0.5
    low = height.masked_fill(~on_object, math.inf).amin(dim=(1, 2, 3), keepdim=True)
    high = height.masked_fill(~on_object, -math.inf).amax(dim=(1, 2, 3), keepdim=True)
    span = high - low
    share = torch.where(span > FLAT, (height - low) / span.clamp(min=FLAT), 0.5)
    return (LOWEST + (1 - LOWEST) * share).where(on_object, torch.zeros(())).clamp(0, 1).expand(-1, 3, -1, -1)


@CONDITIONS.register("normals")
def normals(rendering: Rendering) -> Tensor:
    """Normals as colours, of the same relief: red right, green up, blue towards the eye; black where nothing stands."""
    there = (rendering.mask > 0.5).float()
    return (surface_normals(rendering.height[:, 0]) + 1) / 2 * there


@CONDITIONS.register("colours")
def colours(rendering: Rendering) -> Tensor:
    """The picture as squares of their mean colour."""
    return color(rendering.image, grid=SQUARES, method="area")


SKETCHES: dict[str, Callable[[Rendering], Tensor]] = {
    "edges": lambda rendering: canny(rendering.mask.expand(-1, 3, -1, -1)),
    "scribble": lambda rendering: hand_drawn(rendering.mask, [_phases(one) for one in rendering.scenes]),
}
"""Line conditions as people draw them: outlines without what is inside, thin, or thick and straying."""


def training_condition(name: str, rendering: Rendering) -> Tensor:
    """A condition as training shows it: of the line conditions some are sketches, the same ones every time."""
    whole = CONDITIONS[name](rendering)
    if name not in SKETCHES:
        return whole
    rows = torch.tensor([_draw(one).uniform() < SKETCHED for one in rendering.scenes])
    return torch.where(rows[:, None, None, None], SKETCHES[name](rendering), whole)


def _phases(one: Scene) -> tuple[float, float]:
    draw = _draw(one)
    return draw.uniform(0.0, 6.28), draw.uniform(0.0, 6.28)


def _draw(one: Scene) -> np.random.Generator:
    """Numbers of a scene's own, which change when the scene does."""
    return np.random.default_rng([int(1e6 * abs(value)) for thing in one.things for value in (thing.x, thing.y)])
