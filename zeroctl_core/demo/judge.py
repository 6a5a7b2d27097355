"""The judge: a small network that says which shape, colour and background a picture shows."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .shapes import SHAPES
from .world import COLOURS

SIDE = 64  # pixels that it looks at
WIDTHS = (16, 32, 48, 64)


class Judge(nn.Module):
    """Pictures [B, 3, H, W] in 0..1 -> scores of every shape, colour and background name, [B, n] each.

    Trained on renders and on their reconstructions, which is what the best sample can look like.
    """

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for width in WIDTHS:
            layers += [
                nn.Conv2d(channels, width, 3, padding=1),
                nn.GroupNorm(4, width),
                nn.ReLU(),
                nn.Conv2d(width, width, 3, stride=2, padding=1),
                nn.ReLU(),
            ]
            channels = width
        self.features = nn.Sequential(*layers, nn.Flatten())
        self.pixels = nn.Sequential(nn.Conv2d(3, 32, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten())
        cells = (SIDE // 2 ** len(WIDTHS)) ** 2
        self.hidden = nn.Sequential(nn.Linear(channels * cells + 32 * 16, 64), nn.ReLU())
        self.shape = nn.Linear(64, len(SHAPES))
        self.colour = nn.Linear(64, len(COLOURS))
        self.background = nn.Linear(64, len(COLOURS))

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        image = F.interpolate(image.clamp(0, 1), size=(SIDE, SIDE), mode="area")
        seen = torch.cat((self.features(image * 2 - 1), self.pixels(image * 2 - 1)), dim=1)
        hidden = self.hidden(seen)
        return self.shape(hidden), self.colour(hidden), self.background(hidden)
