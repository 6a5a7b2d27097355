"""The judge of the things: which of them stands where in a picture, and whether that is what the caption says."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .following import background_colour, colour_names
from .names import PICTURES
from .scene import ACROSS, DRAWN, SIZE, Scene

NOTHING = "nothing"
CLASSES = (NOTHING, *DRAWN, *PICTURES)
NUMBERS = {name: number for number, name in enumerate(CLASSES)}
CELL = 8  # pixels a side of what gets one verdict
LEAST_CELLS = 4.0  # of a thing that is there: about 16 pixels a side
WIDTHS = (24, 48, 80, 112)


class Judge(nn.Module):
    """Pictures [B, 3, H, W] in 0..1 -> scores of every class for every cell of 8 pixels, [B, n, H/8, W/8].

    Trained on scenes with every thing of the table, also those that no other network sees, and on what the autoencoder
    makes of them, which is what the best sample can look like.
    """

    def __init__(self) -> None:
        super().__init__()
        half, quarter, eighth, width = WIDTHS
        layers: list[nn.Module] = []
        channels = 3
        for out in (half, quarter, eighth):
            layers += [nn.Conv2d(channels, out, 3, stride=2, padding=1), nn.GroupNorm(4, out), nn.ReLU()]
            channels = out
        for dilation in (1, 2, 3, 1):
            layers += [
                nn.Conv2d(channels, width, 3, padding=dilation, dilation=dilation),
                nn.GroupNorm(4, width),
                nn.ReLU(),
            ]
            channels = width
        self.layers = nn.Sequential(*layers, nn.Conv2d(width, len(CLASSES), 1))

    def forward(self, image: Tensor) -> Tensor:
        scores: Tensor = self.layers(image.clamp(0, 1) * 2 - 1)
        return scores


def class_cells(world: Sequence[Scene], number: Tensor) -> Tensor:
    """The class at the middle of every cell, int64 [B, h, w], of scenes and their numbers of things [B, 8h, 8w]."""
    middles = number[:, CELL // 2 :: CELL, CELL // 2 :: CELL]
    tables = torch.zeros(len(world), 1 + max(len(one.things) for one in world), dtype=torch.int64)
    for row, one in enumerate(world):
        for n, thing in enumerate(one.things, 1):
            tables[row, n] = NUMBERS[thing.name]
    return tables.gather(1, middles.flatten(1)).view_as(middles)


@torch.no_grad()
def judge_scores(judge: Judge, images: Tensor, world: Sequence[Scene]) -> dict[str, float]:
    """What pictures [B, 3, 192, 192] show of their scenes; means over those that can show it.

    `thing`: of one thing, that it is the one the judge sees most of; `both`: of two different things, that these are
    the two it sees most of; `sides`: that they also stand as the relation says; `colour`: of single drawn shapes,
    `ground`: of all, that the nearest colour has the right name. A score that no scene has is left out.
    """
    cells = judge(images).softmax(dim=1)
    right: dict[str, list[bool]] = {}
    grounds = colour_names(background_colour(images))
    for one, picture, cell, ground in zip(world, images, cells, grounds, strict=True):
        right.setdefault("ground", []).append(ground == one.ground)
        names = {thing.name for thing in one.things}
        is_right = _seen(cell, len(names)) == names
        if len(one.things) == 1:
            right.setdefault("thing", []).append(is_right)
            if one.things[0].colour is not None:
                right.setdefault("colour", []).append(
                    _colour(picture, cell, one.things[0].name) == one.things[0].colour
                )
        elif len(names) == 2 == len(one.things):
            right.setdefault("both", []).append(is_right)
            right.setdefault("sides", []).append(is_right and _first_is_first(cell, one))
    return {name: sum(values) / len(values) for name, values in right.items()}


def _seen(cell: Tensor, count: int) -> set[str]:
    """The names of the `count` classes that take the most of a picture, of those that take enough."""
    areas = cell.sum(dim=(1, 2))
    areas[0] = 0
    top = areas.topk(count)
    return {CLASSES[int(n)] for area, n in zip(top.values, top.indices, strict=True) if float(area) >= LEAST_CELLS}


def _first_is_first(cell: Tensor, one: Scene) -> bool:
    """Whether the middle of the first thing lies before that of the second, along the relation."""
    first, second = (cell[NUMBERS[thing.name]] for thing in one.things)
    axis = 0 if one.relation == ACROSS else 1

    def middle(share: Tensor) -> float:
        along = share.sum(dim=axis)
        return float((along * torch.arange(len(along))).sum() / along.sum().clamp(min=1e-9))

    return middle(first) < middle(second)


def _colour(picture: Tensor, cell: Tensor, name: str) -> str:
    """The nearest colour's name to the median of the pixels that the judge takes for a thing."""
    here = (cell.argmax(dim=0) == NUMBERS[name])[None, None].float()
    pixels = F.interpolate(here, size=(SIZE, SIZE))[0, 0] > 0
    inside = picture[:, pixels] if bool(pixels.any()) else picture.flatten(1)
    return colour_names(inside.median(dim=1).values[None])[0]
