"""The judge: a small network that says which shape, colour and background a picture shows, and its verdict."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .following import background_colour
from .shapes import SHAPES
from .world import COLOURS, Scene

SHAPE_NAMES, COLOUR_NAMES = list(SHAPES), list(COLOURS)
SIDE = 64  # pixels that it looks at
WIDTHS = (16, 32, 48, 64)
FULLY = 0.3  # distance from the background's colour from which a pixel is wholly the object's


class Judge(nn.Module):
    """Pictures [B, 3, H, W] in 0..1 -> scores of every shape, colour and background name, [B, n] each.

    It sees the shape in what differs from the background, so that a shape looks alike in all colours, and the colours
    in the pixels. Trained on renders and on their reconstructions, which is what the best sample can look like.
    """

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 1
        for width in WIDTHS:
            layers += [
                nn.Conv2d(channels, width, 3, padding=1),
                nn.GroupNorm(4, width),
                nn.ReLU(),
                nn.Conv2d(width, width, 3, stride=2, padding=1),
                nn.ReLU(),
            ]
            channels = width
        cells = (SIDE // 2 ** len(WIDTHS)) ** 2
        self.shape = nn.Sequential(
            *layers, nn.Flatten(), nn.Linear(channels * cells, 64), nn.ReLU(), nn.Linear(64, len(SHAPES))
        )
        self.colour = nn.Sequential(nn.Linear(3, 64), nn.ReLU(), nn.Linear(64, len(COLOURS)))

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        image = F.interpolate(image.clamp(0, 1), size=(SIDE, SIDE), mode="area")
        ground = background_colour(image)
        away = (image - ground[:, :, None, None]).square().sum(dim=1, keepdim=True).sqrt()
        inside = (away / FULLY).clamp(0, 1)
        inner = inside > 0.9
        share = inner.sum(dim=(2, 3)).clamp(min=1)
        of_object = (image * inner).sum(dim=(2, 3)) / share
        return self.shape(inside * 2 - 1), self.colour(of_object * 2 - 1), self.colour(ground * 2 - 1)


def names_of(world: Sequence[Scene]) -> tuple[Tensor, Tensor, Tensor]:
    """The numbers of shape, colour and background, as the judge counts them, [B] each."""
    return (
        torch.tensor([SHAPE_NAMES.index(one.shape) for one in world]),
        torch.tensor([COLOUR_NAMES.index(one.colour) for one in world]),
        torch.tensor([COLOUR_NAMES.index(one.background) for one in world]),
    )


@torch.no_grad()
def judge_accuracy(judge: Judge, images: Tensor, world: Sequence[Scene]) -> dict[str, float]:
    """Share of pictures [B, 3, H, W] in which the judge sees the scene's shape, colour and background."""
    verdict = judge(images)
    return {
        name: float((scores.argmax(dim=1) == right).float().mean())
        for name, scores, right in zip(("shape", "colour", "background"), verdict, names_of(world), strict=True)
    }
