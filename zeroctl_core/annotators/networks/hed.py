"""Holistically nested edges: a VGG that draws an edge map at each of its five levels.

Source: Xie and Tu, "Holistically-Nested Edge Detection" (2015), in the form of the released ControlNetHED: RGB, its own
mean as a parameter, and the mean of the five sides in place of the paper's learned fusion.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .network import check_size, network

LEVELS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
"""Channels and 3x3 convolutions of each level."""


class Level(nn.Module):
    """Convolutions of one width, and the 1x1 convolution that draws their edges."""

    def __init__(self, c_in: int, c_out: int, depth: int) -> None:
        super().__init__()
        widths = [c_in] + [c_out] * depth
        self.convs = nn.ModuleList(nn.Conv2d(widths[i], widths[i + 1], 3, padding=1) for i in range(depth))
        self.projection = nn.Conv2d(c_out, 1, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """[B, c_in, h, w] -> features [B, c_out, h, w] and edges before the sigmoid [B, 1, h, w]."""
        for conv in self.convs:
            x = F.relu(conv(x))
        return x, self.projection(x)


def mean_of_sides(sides: Sequence[Tensor], size: Sequence[int]) -> Tensor:
    """Edge maps of several sizes -> one in 0..1 at `size`: enlarged bilinearly, averaged, then the sigmoid."""
    enlarged = [F.interpolate(side, tuple(size), mode="bilinear", align_corners=False) for side in sides]
    return torch.stack(enlarged).mean(0).sigmoid()


@network(
    "hed",
    file="ControlNetHED.pth",
    url="https://huggingface.co/lllyasviel/Annotators/resolve/main/ControlNetHED.pth",
    size=29_400_000,
    licence="Apache-2.0",
    sha256="5ca93762ffd68a29fee1af9d495bf6aab80ae86f08905fb35472a083a4c7a8fa",
)
class HED(nn.Module):
    """[B, 3, h, w] in 0..1 -> soft edges [B, 1, h, w], white on black in 0..1."""

    multiple = 16  # four poolings: smaller rests would be cut off, and the sides stretched against each other

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.Parameter(torch.zeros(1, 3, 1, 1))  # the mean of RGB in 0..255
        c_in = 3
        for number, (c_out, depth) in enumerate(LEVELS, start=1):
            self.add_module(f"block{number}", Level(c_in, c_out, depth))
            c_in = c_out

    def forward(self, image: Tensor) -> Tensor:
        check_size("hed", image, self.multiple)
        x = image.to(self.norm) * 255 - self.norm
        sides = []
        for number in range(1, len(LEVELS) + 1):
            if number > 1:
                x = F.max_pool2d(x, 2)
            x, side = self.get_submodule(f"block{number}")(x)
            sides.append(side)
        return mean_of_sides(sides, image.shape[2:])
