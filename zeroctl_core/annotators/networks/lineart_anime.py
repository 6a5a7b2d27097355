"""Line drawings of anime: a U-Net of eight levels, each halving the picture, with a skip past each.

Source: the generator of Isola et al., "Image-to-Image Translation with Conditional Adversarial Networks" (2017), as the
released netG of CN1.1's lineart_anime. Its instance norms have no weights.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .network import check_size, network

WIDTHS = (64, 128, 256, 512, 512, 512, 512, 512)
"""Channels below each halving."""


class Level(nn.Module):
    """One halving, what lies below it, and the doubling that undoes it.

    The keys are places in the released net's list of layers, activations and norms counted: a level inside the U has
    an activation before its halving, and a norm behind it unless it is the lowest.
    """

    def __init__(self, level: int, c_out: int) -> None:
        super().__init__()
        width = WIDTHS[level]
        self.is_top = level == 0
        self.is_lowest = level == len(WIDTHS) - 1
        self.places = ("0", "1", "3") if self.is_top else ("1", "", "3") if self.is_lowest else ("1", "3", "5")
        down, below, up = self.places
        c_in = 3 if self.is_top else c_out
        layers: dict[str, nn.Module] = {down: nn.Conv2d(c_in, width, 4, stride=2, padding=1)}
        if not self.is_lowest:
            layers[below] = Level(level + 1, width)
        from_below = width if self.is_lowest else 2 * width
        layers[up] = nn.ConvTranspose2d(from_below, c_out, 4, stride=2, padding=1)
        self.model = nn.ModuleDict(layers)

    def forward(self, x: Tensor) -> Tensor:
        """[B, c, h, w] -> [B, 2c, h, w], what came in (activated) beside what was made; the top: the picture alone."""
        down, below, up = self.places
        if self.is_top:
            return self.model[up](F.relu(self.model[below](self.model[down](x))))
        # the skip carries the activated features: the released net activates them in place
        x = F.leaky_relu(x, 0.2)
        inner = self.model[down](x)
        if not self.is_lowest:
            inner = self.model[below](F.instance_norm(inner))
        return torch.cat([x, F.instance_norm(self.model[up](F.relu(inner)))], dim=1)


@network(
    "lineart_anime",
    file="netG.pth",
    url="https://huggingface.co/lllyasviel/Annotators/resolve/main/netG.pth",
    size=218_000_000,
    licence="MIT (Anime2Sketch)",
    sha256="ccabdcc3f5cf3c07cf65d58776acb21df7dfda825cdc70c9766a93fd62bfc488",
)
class LineartAnimeNet(nn.Module):
    """[B, 3, h, w] in 0..1 -> dark lines on white, [B, 1, h, w] in 0..1."""

    multiple = 256  # eight halvings down to one pixel

    def __init__(self) -> None:
        super().__init__()
        self.model = Level(0, c_out=1)

    def forward(self, image: Tensor) -> Tensor:
        check_size("lineart_anime", image, self.multiple)
        return self.model(image.to(next(self.parameters())) * 2 - 1).tanh() * 0.5 + 0.5
