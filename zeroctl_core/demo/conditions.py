"""The condition maps of the world, exact because the renderer knows what it drew."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ..annotators.canny import canny
from ..registry import Registry
from .shapes import SHAPES
from .world import COLOURS, SIZE, Rendering

CONDITIONS: Registry[Callable[[Rendering], Tensor]] = Registry("condition of the world")
"""Name -> function from a rendering to the condition images [B, 3, 128, 128] in 0..1."""

LOWEST = 0.3  # of an object in a depth map; the ground is 0
FLAT = 1e-3  # pixels of relief below which a surface counts as flat
KEY_POINT_RADIUS = 3.0  # pixels
COLOUR_DISC = 24.0  # pixels


@CONDITIONS.register("edges")
def edges(rendering: Rendering) -> Tensor:
    """Canny edges (100, 200) of the object's coverage: its outline alone, white on black, whatever the colours are."""
    return canny(rendering.mask.expand(-1, 3, -1, -1))


@CONDITIONS.register("depth")
def depth(rendering: Rendering) -> Tensor:
    """Relative depth as monocular estimators give it: each picture stretched to its own range, near is white.

    The ground is 0, the object goes from .3 at its lowest place to 1 at its highest; a flat one is .65 everywhere.
    """
    return relative_depth(rendering.mask, rendering.height)


def relative_depth(mask: Tensor, height: Tensor) -> Tensor:
    """The depth map of things with a coverage and a height [B, 1, H, W] -> [B, 3, H, W]."""
    on_object = mask > 0.5
    low = height.masked_fill(~on_object, math.inf).amin(dim=(1, 2, 3), keepdim=True)
    high = height.masked_fill(~on_object, -math.inf).amax(dim=(1, 2, 3), keepdim=True)
    span = high - low
    share = torch.where(span > FLAT, (height - low) / span.clamp(min=FLAT), 0.5)
    return (LOWEST + (1 - LOWEST) * share).where(on_object, torch.zeros(())).clamp(0, 1).expand(-1, 3, -1, -1)


@CONDITIONS.register("mask")
def mask(rendering: Rendering) -> Tensor:
    """The pixels of the object, white on black."""
    return rendering.mask.expand(-1, 3, -1, -1)


@CONDITIONS.register("normals")
def normals(rendering: Rendering) -> Tensor:
    """Normals as colours: red right, green up, blue towards the eye, 0..1 for -1..1; black where nothing stands."""
    on_object = (rendering.mask > 0.5).float()
    return (rendering.normals + 1) / 2 * on_object


@CONDITIONS.register("scribble")
def scribble(rendering: Rendering) -> Tensor:
    """The outline as if drawn by hand: a line of 3 pixels that strays by up to 3 pixels, white on black."""
    # waves whose phase is the scene's own, so that the same scene is always drawn in the same way
    return hand_drawn(rendering.mask, [(one.wave_phase, one.angle) for one in rendering.scenes])


def hand_drawn(sheets: Tensor, phases: Sequence[tuple[float, float]]) -> Tensor:
    """Straying lines, 3 pixels thick, of coverages or pictures [B, 1 or 3, 128, 128], each by its own two phases
    -> [B, 3, 128, 128]."""
    grid = torch.arange(SIZE) + 0.5
    bent = []
    for (across, down), sheet in zip(phases, sheets, strict=True):
        bent_x = grid[None, :] + 3 * torch.sin(grid[:, None] / 9 + across) * torch.ones_like(grid)[None, :]
        bent_y = grid[:, None] + 3 * torch.sin(grid[None, :] / 9 + down) * torch.ones_like(grid)[:, None]
        place = torch.stack((bent_x, bent_y), dim=-1)[None] / SIZE * 2 - 1
        bent.append(F.grid_sample(sheet[None], place, padding_mode="border", align_corners=False))
    outline = canny(torch.cat(bent).expand(-1, 3, -1, -1))
    return F.max_pool2d(outline, 3, stride=1, padding=1)


@CONDITIONS.register("key_points")
def key_points(rendering: Rendering) -> Tensor:
    """A disc at every corner of the shape, red at its centre's place and green at its corners, on black."""
    grid = torch.arange(SIZE) + 0.5
    sheets = torch.zeros(len(rendering.scenes), 3, SIZE, SIZE)
    for row, one in enumerate(rendering.scenes):
        cos, sin = math.cos(one.angle), math.sin(one.angle)
        corners = [
            (one.radius * (u * cos - v * sin), one.radius * (u * sin + v * cos)) for u, v in SHAPES[one.shape].corners
        ]
        for channel, (right, down) in [(0, (0.0, 0.0)), *((1, corner) for corner in corners)]:
            away = torch.hypot(grid[None, :] - one.x - right, grid[:, None] - one.y - down)
            sheets[row, channel] = torch.maximum(sheets[row, channel], (KEY_POINT_RADIUS + 0.5 - away).clamp(0, 1))
    return sheets


@CONDITIONS.register("colours")
def colours(rendering: Rendering) -> Tensor:
    """The two colours, nothing of the shape: a disc of fixed size and place in the object's colour on the ground's."""
    of_object = torch.tensor([COLOURS[one.colour] for one in rendering.scenes])
    return disc_of_colours(of_object, torch.tensor([COLOURS[one.background] for one in rendering.scenes]))


def disc_of_colours(of_object: Tensor, of_ground: Tensor) -> Tensor:
    """A disc of fixed size and place in one colour on another, [B, 3] both -> [B, 3, 128, 128]."""
    grid = torch.arange(SIZE) + 0.5 - SIZE / 2
    disc = (COLOUR_DISC + 0.5 - torch.hypot(grid[None, :], grid[:, None])).clamp(0, 1)
    of_object, of_ground = of_object[:, :, None, None], of_ground[:, :, None, None]
    return of_ground + (of_object - of_ground) * disc
